"""The demo's shop: three products, four photos each, drawn by the studio. `python -m productshot.demo` draws them."""
