"""Closed forms of the task conditioning."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.conditioning import FiLM, TaskEmbedding, TaskScaledNorm


def test_identity_affinity_gives_every_task_its_own_row():
    embedding = TaskEmbedding(3, 5)
    assert torch.equal(embedding(torch.eye(3)), embedding.weight)


def test_embedding_is_the_average_weighted_by_the_targets_column():
    embedding = TaskEmbedding(2, 3)
    embedding.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 4.0, 2.0]])
    affinity = torch.tensor([[1.0, 0.25], [0.5, 0.75]])  # rows are sources
    # target 0: (1 e0 + 0.5 e1) / 1.5; target 1: (0.25 e0 + 0.75 e1) / 1
    wanted = torch.tensor([[2 / 3, 4 / 3, 2.0], [0.25, 3.0, 2.0]])
    assert torch.allclose(embedding(affinity), wanted)


def test_an_empty_column_keeps_the_tasks_own_row():
    embedding = TaskEmbedding(2, 4)
    z = embedding(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert torch.equal(z[0], embedding.weight[0])
    assert torch.isfinite(z).all()


def test_film_starts_as_identity_and_follows_its_formula():
    film = FiLM(2, 3)
    x, z = torch.randn(5, 3), torch.randn(2, 2)
    assert torch.equal(film(x, z), x.expand(2, -1, -1))
    film.linear.weight.data = torch.arange(12.0).view(6, 2)
    film.linear.bias.data = torch.full((6,), 0.5)
    for t in range(2):
        gamma, beta = (film.linear.weight @ z[t] + 0.5).split(3)
        assert torch.allclose(film(x, z)[t], (1 + gamma) * x + beta, atol=1e-6)


def test_attention_bias_equals_a_hand_written_matrix():
    attention = TaskAdaptedAttention((2, 2), embedding_dim=1)
    attention.a0.data = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    attention.film.linear.weight.data = torch.tensor([[1.0], [0.0], [0.5], [-1.0]])  # gamma = (z, 0), beta = (z/2, -z)
    bias = attention.bias(torch.tensor([[0.0], [2.0]]))
    plain = torch.tensor([[1.0, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]])
    modulated = torch.tensor([[4.0, 0, 0, 0], [10, 2, 0, 0], [0, 0, 16, 4], [0, 0, 22, 6]])
    assert torch.equal(bias, torch.stack([plain, modulated]))


def test_attention_bias_of_a_window_that_is_not_square():
    attention = TaskAdaptedAttention((2, 3), embedding_dim=1)
    attention.a0.data = torch.arange(1.0, 19.0).view(6, 3)
    bias = attention.bias(torch.zeros(1, 1))[0]
    wanted = torch.block_diag(*attention.a0.data.view(2, 3, 3))
    assert torch.equal(bias, wanted)


def test_task_scaled_norm_at_step_0_equals_the_layer_norm():
    norm = nn.LayerNorm(16)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 3, 4, 5, 16)
    tsn = TaskScaledNorm(norm, embedding_dim=7)
    assert torch.allclose(tsn(x, torch.randn(3, 7)), norm(x), atol=1e-6, rtol=1e-6)


def test_task_scaled_norm_follows_its_formula():
    norm = nn.LayerNorm(4)
    tsn = TaskScaledNorm(norm, embedding_dim=2)
    nn.init.normal_(tsn.linear.weight)
    nn.init.normal_(tsn.gamma)
    nn.init.normal_(tsn.beta)
    x, z = torch.randn(1, 2, 1, 1, 4), torch.randn(2, 2)
    G, Bg, Bb = tsn.linear.weight.split(4)
    for t in range(2):
        g = tsn.gamma * (1 + G @ z[t]) + Bg @ z[t]
        b = tsn.beta + Bb @ z[t]
        y = x[0, t, 0, 0]
        wanted = (y - y.mean()) / (y.var(unbiased=False) + norm.eps).sqrt() * g + b
        assert torch.allclose(tsn(x, z)[0, t, 0, 0], wanted, atol=1e-5)
        assert not torch.allclose(wanted, F.layer_norm(y, (4,)))


def test_task_scaled_norm_does_not_share_the_block_norms_parameters():
    norm = nn.LayerNorm(4)
    tsn = TaskScaledNorm(norm, embedding_dim=2)
    tsn.gamma.data.add_(1)
    assert torch.equal(norm.weight, torch.ones(4))
