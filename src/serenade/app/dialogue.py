"""Questions to the user: asked on a terminal, else answered by flags or refused with the flags that answer them."""

import sys
from dataclasses import dataclass, field

from serenade.core.errors import UsageError

__all__ = ["Dialogue"]

_SHOWN = 6  # questions named in a refusal


@dataclass(slots=True)
class Dialogue:
    """Asks, proposes, and remembers what stayed open.

    Args:
        on_terminal: whether there is somebody to ask.
        take_proposals: take every proposal without asking.
    """

    on_terminal: bool
    take_proposals: bool
    _open: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def here(cls, *, take_proposals: bool) -> "Dialogue":
        """A dialogue on this process's terminal, if it has one."""
        return cls(sys.stdin is not None and sys.stdin.isatty(), take_proposals)

    @property
    def asks(self) -> bool:
        """Whether questions are put to somebody."""
        return self.on_terminal and not self.take_proposals

    def tell(self, text: str = "") -> None:
        """Print a line beside the questions, on stderr, so that results can be piped."""
        print(text, file=sys.stderr, flush=True)

    def ask(self, question: str, proposal: str | None, *, flag: str) -> str:
        """The answer to a question; Enter takes the proposal.

        Args:
            question: without a question mark's line end.
            proposal: the likely answer; None where there is none.
            flag: what answers it on the command line.

        Returns:
            The answer, or the proposal (empty if there is none) where nobody can be asked: call `settle` after.

        Raises:
            UsageError: the input ended before the answer.
        """
        if self.take_proposals and proposal is not None:
            return proposal
        if not self.on_terminal:
            self._open.append((question, flag))
            return proposal or ""
        while True:
            answer = self._read(f"{question} [{proposal}]: " if proposal is not None else f"{question}: ")
            if answer or proposal is not None:
                return answer or str(proposal)
            self.tell("  Please answer; Ctrl-C stops and writes nothing.")

    def confirm(self, question: str) -> bool:
        """Whether the user agrees; without a terminal, what was settled is agreed to."""
        if not self.asks:
            return True
        while True:
            answer = self._read(f"{question} [Y/n]: ").lower()
            if answer in ("", "y", "yes", "j", "ja"):
                return True
            if answer in ("n", "no", "nein"):
                return False
            self.tell("  Please answer y or n.")

    def settle(self) -> None:
        """Pass if no question is open.

        Raises:
            UsageError: names the questions, and the flags that answer them.
        """
        if not self._open:
            return
        questions = "; ".join(question for question, _ in self._open[:_SHOWN])
        more = f"; and {len(self._open) - _SHOWN} more" if len(self._open) > _SHOWN else ""
        flags = " ".join(dict.fromkeys(flag for _, flag in self._open))
        raise UsageError(
            "there are open questions and no terminal to ask them on",
            found=questions + more,
            hint=f"Answer with {flags}; --yes takes what is proposed",
        )

    def _read(self, prompt: str) -> str:
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            self.tell()
            raise UsageError("the input ended before all questions were answered; nothing was written")
        return line.strip()
