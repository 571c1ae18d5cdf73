"""The interface's pages for people: the calls, and the problem types.

Nothing is fetched from elsewhere: they work offline and under a strict content policy.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.api.problem_types import PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.api.problem_types import Problem

_STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid #8884}
summary{cursor:pointer;padding:.4rem 0}summary code{font-weight:600}
details{border-bottom:1px solid #8882}details>div{padding:0 0 1rem 1.2rem}
.method{display:inline-block;min-width:3.6rem;font:600 .8rem ui-monospace,monospace}
.get{color:#0a7}.post{color:#06c}.put{color:#b60}.delete{color:#c33}
pre{background:#8881;padding:.8rem;overflow:auto;border-radius:.4rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #8882;vertical-align:top}
nav a{margin-right:1rem}
"""
_POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}


def calls_page(document: Mapping[str, Any]) -> str:
    """Show every call with its parameters, an example and its answers."""
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = _call(method, path, operation)
            by_tag.setdefault(operation["tags"][0], []).append(shown)
    meanings = {tag["name"]: tag["description"] for tag in document["tags"]}
    sections = "".join(
        f"<h2>{escape(tag)}</h2><p>{escape(meanings.get(tag, ''))}</p>{''.join(calls)}"
        for tag, calls in by_tag.items()
        if calls
    )
    info = document["info"]
    return _page(
        f"{info['title']} {info['version']}",
        f"<p>{_text(info['description'])}</p><nav><a href='/openapi.json'>OpenAPI document</a>"
        f"<a href='/problems'>Problems</a></nav>{sections}",
    )


def problems_page() -> str:
    """Show every problem type."""
    return _page("Problems", "".join(_problem(one) for one in PROBLEMS.values()))


def problem_page(problem: Problem) -> str:
    """Show one problem type: what `type` of an answer points at."""
    return _page("Problem", f"{_problem(problem)}<p><a href='/problems'>All problems</a></p>")


def _problem(problem: Problem) -> str:
    again = "Yes." if problem.retry else "No, not as it is."
    return (
        f"<h2 id='{problem.slug}'><code>{problem.slug}</code></h2>"
        f"<p><strong>{problem.status} {escape(problem.title)}.</strong> "
        f"{_text(problem.meaning)}</p><p>What to do: {_text(problem.action)}</p>"
        f"<p>Does repeating the call help? {again}</p>"
    )


def _call(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{'required' if one['required'] else 'optional'}</td>"
        f"<td>{_text(one.get('description', ''))}</td></tr>"
        for one in operation["parameters"]
    )
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{_text(one['description'])}</td></tr>"
        for status, one in sorted(operation["responses"].items())
    )
    bodies = "".join(
        f"<p>Example: {escape(name)}</p><pre>{escape(_json(one['body']))}</pre>"
        for name, one in operation["x-examples"].items()
        if "body" in one
    )
    table = f"<table>{parameters}</table>" if parameters else ""
    return (
        f"<details id='{escape(operation['operationId'])}'><summary>"
        f"<span class='method {method}'>{method.upper()}</span><code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary><div><p>{_text(operation['description'])}</p>"
        f"{table}{bodies}<table>{answers}</table></div></details>"
    )


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _text(words: str) -> str:
    """Escape, and show what stands between backticks as code."""
    parts = escape(words).split("`")
    return "".join(
        f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)
    )


def _page(title: str, content: str) -> str:
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{content}</body></html>"
    )
