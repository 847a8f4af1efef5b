"""Answers that cannot but have the form they are asked for: before each token, those that would break it are ruled out.

llguidance follows the grammar; what it is told of the vocabulary are the bytes that tokens spell, so what it allows is
exactly what the answer's text will be. Control tokens are never allowed, whatever a grammar says of them, but for those
that end the answer, and these only where the grammar could end.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from edged.engine.output_format import field_of, grammar_of
from edged.engine.prompt import ControlTokens
from edged.engine.session import Logits
from edged.engine.tokenizer import Tokenizer
from edged.engine.tool_grammar import CallForm, beginning_of, call_grammar, each_alone, field_of_call
from edged.errors import InvalidInput
from edged.events import OutputFormat

MAX_KEPT = 8
"""Compiled grammars of an engine, those used last."""
MAX_REASON = 200
"""Characters of what llguidance says of a grammar."""
_STACK_BYTES = 256 * 1024 * 1024
"""llguidance follows rules that name each other by recursion, with 7 KiB a rule. Only what is used takes memory."""
_LIMITS = LLParserLimits(
    max_items_in_row=1000,  # an object with 250 optional properties
    initial_lexer_fuel=200_000,
    step_lexer_fuel=100_000,  # 7 ms a token at worst
    step_max_items=50_000,
    max_lexer_states=30_000,  # 1 to 2 KB each
    verbose_errors=False,
)
_MARK = "\ufdd0"
"""A character that occurs in no text that has to be encoded."""
_NEVER = np.float32(-np.inf)
_stack_size = threading.Lock()
_Result = TypeVar("_Result")
Form = OutputFormat | CallForm
"""What can be compiled: of a whole answer, or of a call of a tool."""


class GrammarCompiler:
    """Compiles grammars for one engine's vocabulary, and keeps them for the answers to come; any thread may ask.

    Each answer follows a copy: what is learned while following one would count against the limits of the next.
    """

    def __init__(self, tokenizer: Tokenizer, *, vocab_size: int, ends: Sequence[int]) -> None:
        """ends: tokens that end an answer."""
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._ends = tuple(ends)
        self._lock = threading.Lock()
        self._vocabulary: _Vocabulary | None = None
        self._kept: OrderedDict[Form, Constraint] = OrderedDict()

    def prepare(self, output: Form) -> None:
        """Compile what `begin` is about to be asked for; takes a millisecond, or some hundred for the worst.

        Raises InvalidInput naming the field of what is malformed, too large, or satisfied by no answer.
        """
        self._compiled(output)

    def begin(self, output: Form) -> Constraint:
        """What holds one answer to the grammar. Raises what `prepare` raises."""
        return self._compiled(output).fork(output)

    def _compiled(self, output: Form) -> Constraint:
        with self._lock:
            compiled = self._kept.get(output)
        compiled = compiled or self._compile(output)
        with self._lock:
            self._kept[output] = compiled
            self._kept.move_to_end(output)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return compiled

    def _compile(self, output: Form) -> Constraint:
        grammar, vocabulary = _grammar_of(output), self._vocabulary_of_engine()

        def compiled() -> Constraint:
            matcher = LLMatcher(vocabulary.tokens, grammar, log_level=0, limits=_LIMITS)
            constraint = Constraint(matcher, vocabulary, output)
            constraint.allowed()  # only now it is known whether anything can satisfy it
            if isinstance(output, CallForm):
                for alone in each_alone(output):
                    constraint.fork(alone).allow_arguments()
            return constraint

        try:
            return _on_a_deep_stack(compiled)
        except InvalidInput:
            _blame_one_tool(output)
            raise

    def _vocabulary_of_engine(self) -> _Vocabulary:
        """Made when first needed: a large one takes some hundred milliseconds."""
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = _Vocabulary(self._tokenizer, vocab_size=self._vocab_size, ends=self._ends)
            return self._vocabulary


def check_grammar(output: Form) -> None:
    """What `prepare` checks, as far as that is known without a vocabulary, of an engine that is not in memory.

    Raises InvalidInput.
    """
    try:
        _on_a_deep_stack(lambda: _validate(output))
    except InvalidInput:
        _blame_one_tool(output)
        raise


def _validate(output: Form) -> None:
    is_wrong, reports = LLMatcher.validate_grammar_with_warnings(_grammar_of(output), limits=_LIMITS)
    if is_wrong:
        raise _unsound(output, reports[0])


def _blame_one_tool(output: Form) -> None:
    """Raises InvalidInput naming the tool that is at fault by itself, where there is one among several."""
    if isinstance(output, CallForm):
        alone = list(each_alone(output))

        def validate() -> None:
            for call in alone:
                _validate(call)

        _on_a_deep_stack(validate)


class Constraint:
    """Where in its grammar one answer is."""

    def __init__(self, matcher: LLMatcher, vocabulary: _Vocabulary, output: Form) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._output = output
        self._require_sound()

    @property
    def is_complete(self) -> bool:
        """Nothing can follow."""
        return self._matcher.is_stopped()

    def allowed(self) -> NDArray[np.bool_]:
        """Whether each token may come next, among them those that end an answer.  # (vocab_size,)

        Raises InvalidInput where that takes too much work to know, or this vocabulary cannot spell what has to come.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._require_sound()
        allowed = np.unpackbits(bits, count=self._vocabulary.size, bitorder="little").view(np.bool_)
        allowed[list(self._vocabulary.control)] = False
        allowed[list(self._vocabulary.ends)] = self._matcher.is_accepting()
        if not allowed.any():
            raise _unsound(self._output, "this model has no tokens for what has to come")
        return allowed

    def allows(self, token: int) -> bool:
        """Whether this token may come next, which takes a small part of the time that it takes to know of all."""
        if token in self._vocabulary.ends:
            return self._matcher.is_accepting()
        return token not in self._vocabulary.control and self._matcher.validate_tokens([token]) == 1

    def allow(self, logits: Logits) -> Logits:
        """The scores, minus infinity where a token would break the grammar. Raises what `allowed` raises."""
        return np.where(self.allowed(), logits, _NEVER)  # five times as fast as np.copyto

    def fork(self, output: Form) -> Constraint:
        """The same from here on, for itself; `output` may leave only one of the tools."""
        return Constraint(self._matcher.deep_copy(), self._vocabulary, output)

    def allow_arguments(self) -> None:
        """Go on to the arguments of the one tool. Raises InvalidInput where there can be none."""
        assert isinstance(self._output, CallForm)
        self.push_text(beginning_of(self._output))
        self.allowed()

    def push_text(self, text: str) -> bool:
        """Go on by a text that was written before; False where the grammar does not allow it."""
        tokens = self._vocabulary.spelling(text)
        return self._matcher.try_consume_tokens(tokens) == len(tokens)

    def push(self, token: int) -> None:
        """Go on by a token that was allowed. Raises InvalidInput where that takes too much work."""
        self._matcher.consume_token(token)
        self._require_sound()

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            raise _unsound(self._output, self._matcher.get_error())


class _Vocabulary:
    """An engine's tokens as llguidance knows them."""

    def __init__(self, tokenizer: Tokenizer, *, vocab_size: int, ends: Sequence[int]) -> None:
        names = {token: text.encode() for text, token in tokenizer.control_tokens.items()}
        self.size = vocab_size
        self.control = frozenset({*names, *ends})
        """Never part of an answer's text."""
        self.ends = frozenset(ends)
        self.spelling = _Spelling(tokenizer, names, vocab_size)
        """Tokens of a text."""
        self.tokens = LLTokenizer(TokenizerWrapper(self.spelling))


class _Spelling:
    """What llguidance asks of a tokenizer, by the names it asks for."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, names: dict[int, bytes], vocab_size: int) -> None:
        # It wants one token that ends an answer; models have several or none, so it is given one of no vocabulary.
        self.eos_token_id = vocab_size
        self.special_token_ids = [*sorted(names), vocab_size]
        self.tokens = [*(names.get(token) or tokenizer.spell(token) for token in range(vocab_size)), b"<end>"]
        self._tokenizer = tokenizer
        self._control = ControlTokens(tokenizer.control_tokens)

    def __call__(self, text: str) -> list[int]:
        """Tokens of a text that has to come now, as the model would write it; never control tokens."""
        pieces = self._control.disarm(text, _MARK).split(_MARK)
        tokens = [token for piece in pieces if piece for token in self._tokenizer.encode(piece)]
        if b"".join(self.tokens[token] for token in tokens) == text.encode():
            return tokens
        return self._greedy(text.encode())  # a SentencePiece model begins every text with a blank

    @functools.cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        control = set(self.special_token_ids)
        return {spelled: token for token, spelled in enumerate(self.tokens) if spelled and token not in control}

    def _greedy(self, text: bytes) -> list[int]:
        """The longest token first, up to a byte that no token spells."""
        longest = max(map(len, self._by_bytes), default=0)
        tokens: list[int] = []
        while text:
            sizes = range(min(longest, len(text)), 0, -1)
            token = next((found for size in sizes if (found := self._by_bytes.get(text[:size])) is not None), None)
            if token is None:
                break
            tokens.append(token)
            text = text[len(self.tokens[token]) :]
        return tokens


def _on_a_deep_stack(work: Callable[[], _Result]) -> _Result:
    """What the work returns or raises, done by a thread with a stack for grammars of any depth."""
    results: Future[_Result] = Future()

    def run() -> None:
        try:
            results.set_result(work())
        except BaseException as exc:  # noqa: BLE001  # raised on by who waits for it
            results.set_exception(exc)

    with _stack_size:  # it holds for every thread that starts meanwhile, which costs those nothing
        before = threading.stack_size(_STACK_BYTES)
        try:
            threading.Thread(target=run, name="edged-grammar", daemon=True).start()
        finally:
            threading.stack_size(before)
    return results.result()


def _grammar_of(output: Form) -> str:
    return call_grammar(output) if isinstance(output, CallForm) else grammar_of(output)


def _unsound(output: Form, report: str) -> InvalidInput:
    field = field_of_call(output) if isinstance(output, CallForm) else field_of(output)
    return InvalidInput(f"{field} cannot be followed: {_reason(report)}", field=field)


def _reason(report: str) -> str:
    """One line of what llguidance reports."""
    lines = report.splitlines() or [""]
    line = next((line for line in lines if line.startswith("error: ")), lines[0]).removeprefix("error: ")
    if line.startswith("panic"):
        line = "llguidance can make nothing of it"
    elif line.startswith("NoExtension"):
        line = "no answer satisfies it"
    line = " ".join("".join(character if character.isprintable() else " " for character in line).split())
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON // 2]} ... {line[-MAX_REASON // 2 :]}"
