// What the page gains with a script: filter, search, deep links, next problem, copy, larger plots. Nothing needs it.
"use strict";
(() => {
  // Verdicts and what a baseline made of them, each with its class in the matrix.
  const cellOf = { fail: "f", error: "e", warn: "w", untestable: "u", pass: "p", info: "i", skip: "s" };
  for (const name of ["new", "regressed", "stale", "known", "fixed"]) cellOf[name] = name;
  const names = Object.keys(cellOf);
  const words = (node) => node.textContent.toLowerCase();
  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  // One entry for each thing that can be found: its node, its verdicts, its text. Read when first needed.
  let entries;
  const index = () => {
    entries = [];
    for (const row of document.querySelectorAll(".cases tbody tr:not(.group)"))
      entries.push({ node: row, verdicts: verdictsOf(row) });
    for (const row of document.querySelectorAll(".matrix tbody tr"))
      entries.push({ node: row, verdicts: new Set([...row.cells].flatMap((cell) => [...cell.classList])), cells: true });
    for (const box of document.querySelectorAll(".case"))
      entries.push({ node: box, verdicts: new Set([...box.classList].map((name) => name.replace("case-", ""))), box: true });
  };

  function verdictsOf(row) {
    const marks = [...row.querySelectorAll(".badge, .expected")];
    return new Set(marks.flatMap((mark) => [...mark.classList]).map((name) => name.replace(/^(badge|expected)-/, "")));
  }

  // The address holds a place and the state of the filter: #run-1-case-7?q=tlv&v=fail,warn
  const state = { place: "", query: "", chosen: new Set() };
  const read = () => {
    const [place, rest = ""] = decodeURIComponent(location.hash.slice(1)).split("?");
    const given = new URLSearchParams(rest);
    state.place = place;
    state.query = given.get("q") || "";
    state.chosen = new Set((given.get("v") || "").split(",").filter((name) => names.includes(name)));
  };
  const write = () => {
    const given = new URLSearchParams();
    if (state.query) given.set("q", state.query);
    if (state.chosen.size) given.set("v", [...state.chosen].join(","));
    const rest = given.toString();
    history.replaceState(null, "", "#" + state.place + (rest ? "?" + rest : ""));
  };

  const tools = document.querySelector(".tools");
  const search = make("input", { type: "search", placeholder: "Search cases, bytes, reasons  /", "aria-label": "Search" });
  const told = make("output", { "aria-live": "polite" });
  const buttons = new Map();
  for (const name of names)
    if (document.querySelector(`.case-${name}, .cases .badge-${name}, .cases .expected-${name}, .matrix td.${cellOf[name]}`)) {
      const button = make("button", { type: "button", "aria-pressed": "false" }, name.toUpperCase());
      button.addEventListener("click", () => {
        if (!state.chosen.delete(name)) state.chosen.add(name);
        apply();
      });
      buttons.set(name, button);
    }
  const next = make("button", { type: "button", title: "n: next, p: previous" }, "Next problem");
  next.addEventListener("click", () => step(1));

  const apply = () => {
    const query = state.query.trim().toLowerCase();
    const filtering = query !== "" || state.chosen.size > 0;
    let seen = 0;
    let all = 0;
    if (!entries) index();
    for (const entry of entries) {
      let fits = !state.chosen.size;
      for (const name of state.chosen) fits ||= entry.verdicts.has(entry.cells ? cellOf[name] : name);
      if (fits && query) {
        entry.text ??= words(entry.node);
        fits = entry.text.includes(query);
      }
      entry.node.classList.toggle("out", !fits);
      if (!entry.box) {
        all += 1;
        seen += fits;
      }
    }
    // A chapter of the matrix opens when it has something to show.
    if (filtering)
      for (const chapter of document.querySelectorAll(".chapter, .others"))
        chapter.open = chapter.querySelector("tbody tr:not(.out), .case:not(.out)") !== null;
    for (const [name, button] of buttons) button.setAttribute("aria-pressed", String(state.chosen.has(name)));
    told.textContent = filtering ? `${seen} of ${all} rows` : "";
    write();
  };

  const show = (node) => {
    for (let up = node; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    if (node.matches(".case")) node.querySelector(":scope > details")?.setAttribute("open", "");
    node.scrollIntoView({ block: "start" });
    if (!node.hasAttribute("tabindex")) node.setAttribute("tabindex", "-1");
    node.focus({ preventScroll: true });
  };
  const go = (place) => {
    const node = place && document.getElementById(place);
    if (node) show(node);
  };

  const problems = () => [...document.querySelectorAll(".problems .case:not(.out), .problems .brief")];
  const step = (by) => {
    const list = problems();
    if (!list.length) {
      told.textContent = "no problem to show";
      return;
    }
    // The innermost: one problem may stand within the group of another.
    const at = list.findLastIndex((node) => node.contains(document.activeElement));
    const node = list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length];
    state.place = node.id || node.querySelector("[id]")?.id || "";
    write();
    show(node);
    told.textContent = `problem ${list.indexOf(node) + 1} of ${list.length}`;
  };

  search.addEventListener("input", () => {
    state.query = search.value;
    apply();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    } else if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
  });
  addEventListener("hashchange", () => {
    read();
    search.value = state.query;
    apply();
    go(state.place);
  });

  // Copy, beside every command that is not folded away; the old way where the page may not use the clipboard.
  const copyable = (within) => {
    for (const block of within.querySelectorAll("pre.shell"))
      if (!block.closest(".copyable, details:not([open])")) {
        const button = make("button", { type: "button", class: "copy" }, "Copy");
        button.addEventListener("click", async () => {
          try {
            await navigator.clipboard.writeText(block.textContent);
          } catch {
            getSelection().selectAllChildren(block);
            document.execCommand("copy");
          }
          for (const other of document.querySelectorAll(".copy")) other.textContent = "Copy";
          button.textContent = "Copied";
        });
        const holder = make("div", { class: "copyable" });
        block.replaceWith(holder);
        holder.append(block, button);
      }
  };
  copyable(document);
  document.addEventListener("toggle", (event) => copyable(event.target), { capture: true });

  // Any plot, as large as the window.
  for (const figure of document.querySelectorAll("figure"))
    if (figure.querySelector("svg")) {
      const button = make("button", { type: "button", class: "enlarge" }, "Enlarge");
      button.addEventListener("click", () => {
        const close = make("button", { type: "button", class: "enlarge" }, "Close");
        const dialog = make("dialog", {}, close, figure.querySelector("figcaption")?.cloneNode(true) ?? "");
        const drawing = figure.querySelector("svg").cloneNode(true);
        const shell = make("figure", {}, drawing);
        for (const node of drawing.querySelectorAll("[id]")) node.removeAttribute("id");
        dialog.append(shell);
        close.addEventListener("click", () => dialog.close());
        dialog.addEventListener("close", () => dialog.remove());
        document.body.append(dialog);
        dialog.showModal();
      });
      figure.prepend(button);
    }

  if (buttons.size) {
    tools.append(search, ...buttons.values(), next, told);
    tools.hidden = false;
  }
  read();
  search.value = state.query;
  if (state.query || state.chosen.size) apply();
  go(state.place);
})();
