"""Drawing a figure in a test, and reading what was drawn."""

from cosim.plugin import find
from cosim.results.draw import draw


def drawn(kind, runs, **keys):
    return draw(find("figure", kind).model_validate(keys), runs)


def legend_of(drawing):
    (legend,) = [
        *drawing.canvas.legends,
        *(axes.get_legend() for axes in drawing.canvas.axes if axes.get_legend()),
    ]
    return [text.get_text() for text in legend.get_texts()]
