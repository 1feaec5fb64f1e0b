"""Where kernel variants are decided and written: the matrix, the tile table, the renderer."""
