"""A Jinja environment for templates from anywhere: no reach outside, and a bound on what they cost.

Jinja's own sandbox stops a template from reaching Python's internals, not from filling memory or looping for
years. Here everything that can grow or repeat is charged to a budget of work before it happens: a character
handled costs 1, an item 10, a call or an iteration 100. Sizes multiply at most, so products are charged.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

ITEM_COST = 10
CALL_COST = 100
_STRING_METHODS = frozenset(
    [
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "splitlines",
        "partition",
        "rpartition",
        "startswith",
        "endswith",
        "removeprefix",
        "removesuffix",
        "replace",
        "join",
        "upper",
        "lower",
        "title",
        "capitalize",
        "find",
        "rfind",
        "index",
        "count",
        "isdigit",
        "isalpha",
        "isalnum",
        "isspace",
        "isupper",
        "islower",
    ]
)
_FILTERS = frozenset(
    [
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "e",
        "escape",
        "first",
        "float",
        "indent",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "safe",
        "select",
        "selectattr",
        "sort",
        "string",
        "title",
        "tojson",
        "trim",
        "unique",
        "upper",
    ]
)


class WorkExceeded(jinja2.TemplateRuntimeError):
    """The template costs more than any real one would."""


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """Compiles and renders a template; set `work_left` before each rendering. Threads have budgets of their own."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, filters: Mapping[str, Callable[..., Any]], template_globals: Mapping[str, Any]) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _GenerationTag],
            finalize=self.charged,
        )
        self._budget = threading.local()
        known = {name: function for name, function in self.filters.items() if name in _FILTERS} | dict(filters)
        self.filters = {name: self._metered(function) for name, function in known.items()}
        self.filters["length"] = self.filters["count"] = len  # needs no look at what is counted
        self.filters["_charged"], self.filters["_each_charged"] = self.charged, self.each_charged
        self.tests = {name: self._metered(cast(Callable[..., Any], test)) for name, test in self.tests.items()}
        namespaces = {name: self.globals[name] for name in ("range", "dict", "namespace")}
        self.globals = namespaces | dict(template_globals)
        self._macro_cost = CALL_COST

    @property
    def work_left(self) -> int:
        """What this thread's rendering may still cost."""
        return int(self._budget.work_left)

    @work_left.setter
    def work_left(self, amount: int) -> None:
        self._budget.work_left = amount

    def compile_metered(self, source: str) -> jinja2.Template:
        """The template with charges inserted. Raises jinja2.TemplateError."""
        self._macro_cost = CALL_COST + len(source)
        self.work_left = 1_000_000  # constants are folded while compiling
        tree = self.parse(source)
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise jinja2.TemplateSyntaxError("recursive loops are not supported", loop.lineno)
        return jinja2.Template.from_code(self, self.compile(_Charging().visit(tree)), dict(self.globals))

    def charge(self, amount: int) -> None:
        """Take from the budget. Raises WorkExceeded when it is spent."""
        self.work_left -= amount
        if self.work_left < 0:
            raise WorkExceeded("the template does too much work")

    def charged(self, value: Any) -> Any:
        """The value itself, once its size is paid for."""
        self.charge(self._size(value))
        return value

    def each_charged(self, values: Iterable[Any], cost: int = CALL_COST) -> Iterator[Any]:
        """The values themselves, each paid for as it is taken."""
        for value in values:
            self.charge(cost + self._size(value))
            yield value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Also refuses what can pad or format a string to any length."""
        if isinstance(obj, str | bytes):
            return attr in _STRING_METHODS
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No str.format: a width in it pads to any length."""

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Charge for a call to a macro, a method or a global function, then do it."""
        receiver = getattr(function, "__self__", None)
        self._charge_product(receiver if isinstance(receiver, str) else "", *args, *kwargs.values())
        self.charge(self._macro_cost if isinstance(function, Macro) else CALL_COST)
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Charge for what an operator can build."""
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise WorkExceeded(f"the operator {operator} is not supported here")
        if operator == "+":
            self.charge(self._size(left) + self._size(right))
        else:
            self._charge_product(left, right, numbers=True)
        return super().call_binop(context, operator, left, right)

    def _metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The filter or test, charged for its arguments and, where it is lazy, for each result."""

        @functools.wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Any:
            values = [arg for arg in args if not isinstance(arg, Context | jinja2.Environment)]
            self._charge_product(*values, *kwargs.values(), numbers=True)
            self.charge(CALL_COST)
            result = function(*args, **kwargs)
            return self.each_charged(result) if isinstance(result, Iterator) else result

        return metered

    def _charge_product(self, *values: Any, numbers: bool = False) -> None:
        product = 1
        for value in values:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            size = (min(abs(value), 10**18) if numbers else 1) if is_number else self._size(value)
            product *= max(1, int(size))
        self.charge(product)

    def _size(self, value: Any) -> int:
        """Characters and items in a value as it would be written out; shared parts count every time."""
        if isinstance(value, str | bytes | range):
            return len(value)
        if isinstance(value, Mapping):
            return self._total(value.items())
        if isinstance(value, list | tuple):
            return self._total(value)
        return 1 if not isinstance(value, int) else 1 + value.bit_length() // 8

    def _total(self, values: Iterable[Any]) -> int:
        total = 0
        for value in values:
            total += ITEM_COST + self._size(value)
            if total > self.work_left:
                raise WorkExceeded("the template does too much work")
        return total


class _Charging(NodeTransformer):
    """Rewrites what Jinja compiles without asking the environment: loops, comparisons, `~` and slices."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # named after the node
        self.generic_visit(node)
        literals = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        node.iter = _filter("_each_charged", cast(nodes.Expr, node.iter), nodes.Const(CALL_COST + literals))
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filter("_charged", node.expr)
        for operand in node.ops:
            operand.expr = _filter("_charged", operand.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_filter("_charged", part) for part in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filter("_charged", node.node)
        return node


class _GenerationTag(Extension):
    """`{% generation %}`, by which training marks the answer; here it only groups."""

    tags = {"generation"}  # noqa: RUF012  # the type Jinja gives it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The tag's body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _filter(name: str, value: nodes.Expr, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(arguments), [], None, None, lineno=value.lineno)
