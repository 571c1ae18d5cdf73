"""Writes docs/problems.md: `python -m core.api.problem_page docs/problems.md`.

A test compares the page with the catalogue.
"""

from __future__ import annotations

import sys
from pathlib import Path

from core.api.problem_types import PROBLEMS

_HEAD = """# Problems

Every answer that is not a success is a problem (RFC 9457) with the content type
`application/problem+json`:

| field | what it is |
| --- | --- |
| `type`, `docs` | an address of this host that explains the problem |
| `code` | one of the words below; fixed, made for programs |
| `title`, `status` | the same for every problem of this type |
| `detail` | what was wrong this time, for people |
| `errors` | the faulty fields: pointer (`?name` for a query parameter), code, message |
| `trace_id` | under this id the call stands in the log |

Codes are added, never renamed. A program reads them from `GET /v1/problems`.
A "no" of the rules to an event (no consent, template not approved) is no problem: it is a
decision inside a 202, with a reason. Some of the codes below are therefore reasons as well, and
become problems only where a caller asks for one single message.
"""


def problem_page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for problem in PROBLEMS.values():
        again = "It helps." if problem.retry else "It does not help as it is."
        parts.append(
            f"\n## {problem.slug}\n\n{problem.status}: {problem.title}.\n\n"
            f"* What is so: {problem.meaning}\n"
            f"* What to do: {problem.action}\n"
            f"* Repeating the call: {again}\n"
        )
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(problem_page())
