"""The element type of texts: `tensor<3x!nn.string>`.

How a text lies in memory is `runtime/texts.py`: a slot of fixed size, so that whatever rearranges elements
rearranges texts too (decision 0030).
"""

from __future__ import annotations

from xdsl.ir import ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition


@irdl_attr_definition
class StringType(ParametrizedAttribute, TypeAttribute):
    """A text of bounded length."""

    name = "nn.string"
