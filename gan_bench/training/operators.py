"""What kind of work an operator on the CPU, or a kernel on the GPU, does: told by its name."""

from __future__ import annotations

import re

PRODUCTS = "matrix products, convolutions"
NORMALISATION = "normalisation"
ELEMENTWISE = "activations, elementwise, sums"
OPTIMISER = "optimiser"
DRAWS = "random draws, batch assembly"
COPIES = "copies, fills"
OTHER = "other, idle"
"""What the others leave: Python, views, memory, autograd's bookkeeping; on a GPU the time without a kernel."""
KINDS = (PRODUCTS, NORMALISATION, ELEMENTWISE, OPTIMISER, DRAWS, COPIES)

RULES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (OPTIMISER, r"[Aa]dam|_foreach_|multi_tensor_apply"),
        (NORMALISATION, r"batch_?norm|BatchNorm|bn_[fb]w|(layer|group|instance)_norm"),
        (COPIES, r"[Cc]opy|[Mm]emcpy|[Mm]emset|CatArray|FillFunctor|nchwToNhwc|nhwcToNchw|convertTensor"),
        (COPIES, r"::(clone|contiguous|cat|stack|fill_|zero_|zeros|zeros_like|ones|ones_like)$"),
        (DRAWS, r"random|distribution|::(normal_|uniform_|bernoulli_?|rand\w*)$|\bindex|gather"),
        (PRODUCTS, r"gemm|gemv|cutlass|nvjet|xmma|conv|[dw]grad|fprop|split[Kk]|im2col|col2im|cudnn"),
        (PRODUCTS, r"::(mm|mv|bmm|addmm|addmv|addbmm|baddbmm|matmul|_?linear\w*|dot|outer|einsum)$"),
    )
)
"""The first that matches counts; a kernel of another name is taken for elementwise work."""
VIEWS = re.compile(
    r"_*(alias|as_strided|broadcast_to|chunk|detach|diagonal|empty\w*|expand|expand_as|flatten|item|lift_fresh|"
    r"local_scalar_dense|movedim|narrow|new_empty\w*|permute|reshape\w*|resize|resolve_conj|resolve_neg|result_type|"
    r"select|set|slice|split\w*|squeeze|t|to|transpose|unbind|unflatten|unsafe_view|unsqueeze|view|view_as)_*"
)
"""Operators that touch no element: they make views, allocate, or only pass on to another operator."""


def kind_of_operator(name: str) -> str:
    """Return the kind of work of an operator's own time on the CPU; autograd's nodes only call operators."""
    namespace, _, base = name.rpartition("::")
    if not namespace or namespace.startswith("autograd") or VIEWS.fullmatch(base):
        return OTHER
    return kind_of_kernel(name)


def kind_of_kernel(name: str) -> str:
    """Return the kind of work of a kernel, or of a copy, on the GPU."""
    return next((kind for kind, pattern in RULES if pattern.search(name)), ELEMENTWISE)


def readable(name: str) -> str:
    """Return a kernel's name without what every kernel of PyTorch's has in it."""
    return re.sub(r"^void |at::native::|\(anonymous namespace\)::", "", name)
