// Keeps the page up to date: fetches it again and swaps the parts marked data-live.
// A form that somebody types into is never marked, so nothing typed is lost.
(() => {
  "use strict";
  const pause = 1000;

  const follow = () => {
    const list = document.querySelector("[data-follow]");
    if (list) list.scrollTop = list.scrollHeight;
  };

  const refresh = async () => {
    if (document.hidden) return;
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!next || next.innerHTML === part.innerHTML) continue;
      if (part.contains(document.activeElement)) continue;
      const atEnd = part.scrollHeight - part.scrollTop - part.clientHeight < 80;
      part.replaceChildren(...next.childNodes);
      if (atEnd && part.hasAttribute("data-follow")) follow();
    }
  };

  const repeat = async () => {
    try {
      await refresh();
    } catch {
      // The simulator was stopped; the page stays as it is and asks again.
    }
    setTimeout(repeat, pause);
  };

  follow();
  setTimeout(repeat, pause);
})();
