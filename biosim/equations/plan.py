"""Plan a rule's lines: which matrix products a step needs, and which per-synapse lines use them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from biosim.equations.clock import Clock
from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import binary, names_in, number
from biosim.equations.factor import Product, UnfactorisableError, factorise
from biosim.equations.linear import decay, sample_weights, split_linear
from biosim.equations.products import warn_slow
from biosim.equations.rule import Assignment, Rule
from biosim.equations.vocabulary import POST, PRE, SYNAPSE, Axes


@dataclass(frozen=True)
class Sum:
    """One matrix product over a step's samples: where it goes and how its samples are weighted.

    Attributes
    ----------
    name : str
        Array or vector that receives it, unless ``target`` is given.
    pre_side, post_side : ast.expr or None
    scale : float
    rate : float or None
        None: mean over samples; else the rate of the linear equation that it drives.
    target : str or None
        State updated in place: ``target = decay*target + scale*product``.
    whole : ast.expr or None
        An unfactorisable expression, evaluated in chunks.
    """

    name: str
    pre_side: ast.expr | None
    post_side: ast.expr | None
    scale: float
    rate: float | None
    target: str | None = None
    whole: ast.expr | None = None

    @property
    def reads_teach_pre(self) -> bool:
        """Whether the presynaptic side reads the teaching signal, which inputs do not get."""
        return self.pre_side is not None and "teach_pre" in names_in(self.pre_side)


class Plan:
    """The steps a rule takes on one projection.

    Attributes
    ----------
    sums : list of Sum
        Computed first, in order.
    lines : list of (str, ast.expr)
        Per-synapse assignments, run after the sums as one program.
    scratch : list of str
        Per-synapse arrays that the sums and coincidences need.
    axes : dict
        Axes of every name, the planned ones included.
    """

    def __init__(self, rule: Rule, parameters: Mapping[str, float], clock: Clock, axes: dict[str, Axes]) -> None:
        self.rule, self.parameters, self.clock, self.axes = rule, parameters, clock, axes
        self.sums: list[Sum] = []
        self.lines: list[tuple[str, ast.expr]] = []
        self.scratch: list[str] = []
        self._plan_lines()

    def _plan_lines(self) -> None:
        in_place = True  # a leading linear equation may be one in-place matrix product
        for line in (*self.rule.coincidences, *self.rule.synapse):
            if line in self.rule.coincidences:
                self._plan_mean(line)
            elif line.derivative:
                in_place = self._plan_linear(line, in_place)
            else:
                self.lines.append((line.target, line.expression.node))
                in_place = False

    def _products(self, node: ast.expr) -> list[Product] | None:
        try:
            return factorise(node, self.axes)
        except UnfactorisableError:
            warn_slow(self.rule.name, ast.unparse(node))
            return None

    def _plan_mean(self, line: Assignment) -> None:
        products = self._products(line.expression.node)
        self._scratch(line.target)
        if products is not None and len(products) == 1 and self._whole(products[0]):
            one = products[0]
            self.sums.append(Sum(line.target, one.pre_side, one.post_side, self._constant(one.outside), None))
            return
        self.lines.append((line.target, self._total(line.expression.node, products, None)))

    def _plan_linear(self, line: Assignment, in_place: bool) -> bool:
        rate_node, rest = split_linear(line.expression, line.target, set(self.parameters))
        rate = evaluate_constant(rate_node, self.parameters)
        products = self._products(rest) if rest is not None else []
        if in_place and products and len(products) == 1 and self._whole(products[0]):
            one = products[0]
            scale = self._constant(one.outside)
            self.sums.append(Sum("", one.pre_side, one.post_side, scale, rate, target=line.target))
            return True
        own = ast.Name(id=line.target)
        kept = own if rate == 0 else binary(number(decay(rate, self.clock.dt)), ast.Mult(), own)
        driven = self._total(rest, products, rate) if rest is not None else None
        self.lines.append((line.target, kept if driven is None else binary(kept, ast.Add(), driven)))
        return False

    def _whole(self, product: Product) -> bool:
        """Whether a product covers both sides and only constants stand outside."""
        two_sided = product.pre_side is not None and product.post_side is not None
        return two_sided and (product.outside is None or names_in(product.outside) <= set(self.parameters))

    def _constant(self, node: ast.expr | None) -> float:
        return 1.0 if node is None else evaluate_constant(node, self.parameters)

    def _total(self, node: ast.expr, products: list[Product] | None, rate: float | None) -> ast.expr:
        """Return the node that adds up a line's products, each replaced by the name of its sum."""
        if products is None:
            name = self._scratch(f"_{len(self.sums)}")
            self.sums.append(Sum(name, None, None, 1.0, rate, whole=node))
            return ast.Name(id=name)
        total: ast.expr | None = None
        for product in products:
            term = self._term(product, rate)
            total = term if total is None else binary(total, ast.Add(), term)
        assert total is not None
        return total

    def _term(self, product: Product, rate: float | None) -> ast.expr:
        if product.pre_side is None and product.post_side is None:
            duration = 1.0 if rate is None else float(sample_weights(rate, self.clock.presentation, self.clock.samples).sum())
            assert product.outside is not None
            return binary(number(duration), ast.Mult(), product.outside)
        name = f"_{len(self.sums)}"
        for known in self.sums:
            same = (_dump(known.pre_side), _dump(known.post_side)) == (_dump(product.pre_side), _dump(product.post_side))
            if same and known.rate == rate and known.target is None and known.whole is None and known.scale == 1.0:
                name = known.name
                break
        else:
            self.sums.append(Sum(name, product.pre_side, product.post_side, 1.0, rate))
            if product.pre_side is not None and product.post_side is not None:
                self._scratch(name)
            else:
                self.axes[name] = PRE if product.post_side is None else POST
        value: ast.expr = ast.Name(id=name)
        return value if product.outside is None else binary(product.outside, ast.Mult(), value)

    def _scratch(self, name: str) -> str:
        self.scratch.append(name)
        self.axes[name] = SYNAPSE
        return name


def _dump(node: ast.expr | None) -> str:
    return "" if node is None else ast.dump(node)
