"""The figures that say what the engine is worth, beside requests per second. One module measures one of them."""
