"""Many runs side by side: what comparing, adapting and zero-shot transfer share."""
