"""At which size a network looks at a picture, whole or in tiles, and how their predictions become one again."""
