"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const status = document.getElementById("status");
  const trouble = document.querySelector(".trouble");
  const find = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, text, attributes = {}) => {
    const element = document.createElement(name);
    element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const KEEPALIVE_BYTES = 60000; // browsers let 64 KiB outlive a page
  const PAUSE_MS = 400;
  const LONGEST_RETRY_MS = 15000;

  // The address that brought us here holds a token; it is used up, and need not be seen.
  if (data.served) history.replaceState(null, "", location.pathname + location.hash);

  // What lies in this browser in case the server does not: one draft for each box, until it is saved.
  const drafts = {
    name: (box) => `mega-code review ${data.key} ${box.number}`,
    read(box) {
      try {
        return JSON.parse(localStorage.getItem(this.name(box)));
      } catch {
        return null;
      }
    },
    write(box) {
      try {
        localStorage.setItem(this.name(box), JSON.stringify({ ...box.value(), base: box.version, sent: box.sent }));
      } catch {
        // Full or forbidden: the text still stands in the page.
      }
    },
    drop(box) {
      try {
        localStorage.removeItem(this.name(box));
      } catch {
        // There was none to drop.
      }
    },
  };

  const same = (one, other) => one.text === other.text && one.preference === other.preference;

  class Box {
    constructor(form, number, entry) {
      this.form = form;
      this.number = number;
      this.case = entry.case;
      this.area = form.querySelector("textarea");
      this.radios = find("input[type=radio]", form);
      this.sent = null; // sent, and no word of it yet
      this.busy = null;
      this.conflict = null;
      this.take(entry);
      const draft = drafts.read(this);
      if (draft && !same(draft, this.saved)) {
        this.put(draft);
        if (data.served) [this.version, this.sent] = [draft.base, draft.sent];
      }
      form.addEventListener("input", () => this.changed());
      form.addEventListener("submit", (event) => event.preventDefault());
      for (const radio of this.radios) {
        const fixed = data.ended || (data.blind && data.submitted);
        radio.disabled = fixed && !radio.checked;
      }
      this.area.readOnly = data.ended;
    }

    value() {
      const vote = this.radios.find((radio) => radio.checked);
      return { text: this.area.value, preference: (vote && vote.value) || null };
    }

    put(value) {
      this.area.value = value.text;
      for (const radio of this.radios) radio.checked = radio.value === (value.preference || "");
    }

    take(entry) {
      this.put(entry);
      this.saved = this.value();
      this.version = entry.version;
    }

    dirty() {
      return !same(this.value(), this.saved);
    }

    changed() {
      drafts.write(this);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.save(), PAUSE_MS);
      report();
    }

    async save() {
      clearTimeout(this.timer);
      if (!data.served || data.ended || this.conflict) return;
      while (this.busy) await this.busy;
      if (!this.dirty()) return drafts.drop(this);
      this.busy = this.send();
      await this.busy;
      this.busy = null;
      report();
    }

    body(value) {
      return JSON.stringify({ case: this.case, ...value, base: this.version, sent: this.sent });
    }

    async send() {
      const value = this.value();
      const body = this.body(value);
      this.sent = value;
      drafts.write(this);
      const [code, answer] = await post("save", body);
      if (code === 200) {
        [this.saved, this.version, this.sent] = [value, answer.version, null];
        if (this.dirty()) this.changed();
        else drafts.drop(this);
        worked();
      } else if (code === 409) {
        this.sent = null;
        this.clash(answer.entry);
      } else {
        failed(answer.error);
      }
    }

    // The page goes away and nobody will hear the answer.
    leave() {
      if (!data.served || data.ended || this.conflict || !this.dirty()) return;
      drafts.write(this);
      const body = this.body(this.value());
      const keepalive = new TextEncoder().encode(body).length < KEEPALIVE_BYTES;
      fetch("save", { ...request(body), keepalive }).catch(() => {});
    }

    clash(entry) {
      this.conflict = this.form.querySelector(".conflict");
      const mine = make("button", "Keep what is here", { type: "button" });
      const theirs = make("button", "Take that", { type: "button" });
      const vote = entry.preference ? ` (vote: ${this.label(entry.preference)})` : "";
      this.conflict.replaceChildren(
        make("p", `This was changed in another tab. There it says${vote}:`),
        make("blockquote", entry.text || "(nothing)"), mine, theirs);
      this.conflict.hidden = false;
      const settle = (before) => {
        this.conflict.hidden = true;
        this.conflict = null;
        this.version = entry.version;
        before();
        this.save().then(report);
      };
      mine.addEventListener("click", () => settle(() => { this.saved = { text: entry.text, preference: entry.preference }; }));
      theirs.addEventListener("click", () => settle(() => { this.take(entry); }));
    }

    label(preference) {
      const radio = this.radios.find((one) => one.value === preference);
      return radio ? radio.parentElement.textContent : preference;
    }
  }

  const request = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body });

  async function post(name, body) {
    try {
      const response = await fetch(name, request(body));
      return [response.status, await response.json()];
    } catch {
      return [0, { error: "The review's server does not answer; the session can start it again with the review command." }];
    }
  }

  const boxes = find("form.box").map((form) => {
    const number = Number(form.dataset.box);
    return new Box(form, number, number < 0 ? data.overall : data.cases[number]);
  });

  let retryMs = 1000;
  let retry = null;
  let problem = "";

  function worked() {
    problem = "";
    retryMs = 1000;
  }

  function failed(why) {
    problem = why || "The server gave no reason.";
    clearTimeout(retry);
    retry = setTimeout(saveAll, retryMs);
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
  }

  async function saveAll() {
    for (const box of boxes) if (box.dirty()) await box.save();
    report();
  }

  function report() {
    const dirty = boxes.filter((box) => box.dirty());
    const clashes = boxes.filter((box) => box.conflict);
    let [text, kind] = ["Saved", "ok"];
    if (data.ended) [text, kind] = ["Submitted", "ok"];
    else if (!data.served) text = "Kept in this browser; download it when you are done";
    else if (dirty.length && problem) [text, kind] = ["Not saved", "bad"];
    else if (clashes.length) [text, kind] = ["Changed in another tab", "bad"];
    else if (dirty.length) [text, kind] = ["Saving\u2026", "busy"];
    if (status.textContent !== text) status.textContent = text;
    status.dataset.kind = kind;
    trouble.hidden = !(data.served && dirty.length && problem);
    if (!trouble.hidden && trouble.dataset.why !== problem) {
      trouble.dataset.why = problem;
      const again = make("button", "Try again", { type: "button" });
      const keep = make("button", "Download feedback.json", { type: "button" });
      again.addEventListener("click", () => { retryMs = 1000; saveAll(); });
      keep.addEventListener("click", download);
      trouble.replaceChildren(
        make("p", `Your feedback could not be saved. ${problem} What you wrote stays here, and is tried again.`), again, keep);
    }
    summarise();
  }

  function summarise() {
    const cases = boxes.filter((box) => box.case !== null);
    const texts = cases.filter((box) => box.area.value.trim()).length;
    const votes = cases.filter((box) => box.value().preference).length;
    const summary = document.getElementById("summary");
    const words = `${texts} of ${cases.length} cases with feedback \u00b7 ${votes} with a vote${tally(cases)}`;
    if (summary.textContent !== words) summary.textContent = words;
    for (const box of boxes) {
      const view = box.case === null ? "finish" : `case-${box.number + 1}`;
      const done = box.area.value.trim() || box.value().preference;
      find(`nav a[href="#${view}"]`).forEach((link) => link.classList.toggle("done", Boolean(done)));
    }
  }

  // How the votes fell; letters of a blind review say nothing over several cases.
  function tally(cases) {
    const hidden = data.blind && !data.submitted;
    const counts = new Map();
    for (const box of hidden ? [] : cases) {
      const { preference } = box.value();
      if (preference) counts.set(box.label(preference), (counts.get(box.label(preference)) || 0) + 1);
    }
    return [...counts].map(([label, count], at) => `${at ? ", " : ": "}${label} ${count}`).join("");
  }

  function download() {
    const named = (preference) => (data.arms && data.arms[preference]) || preference;
    const cases = {};
    for (const box of boxes) {
      const value = box.value();
      if (box.case !== null && (value.text || value.preference)) cases[box.case] = { text: value.text, preference: named(value.preference) };
    }
    const whole = {
      state: data.served ? "open" : "submitted",
      updated_at: new Date().toISOString().replace(/\.\d+Z/, "Z"),
      blind: data.blind,
      cases,
      overall: { text: boxes.find((box) => box.case === null).area.value },
    };
    const link = make("a", "");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(whole, null, 2), "\n"], { type: "application/json" }));
    link.download = "feedback.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  async function submit() {
    await saveAll();
    if (boxes.some((box) => box.dirty() || box.conflict)) return;
    const [code, answer] = await post("submit", "{}");
    if (code === 200) location.reload();
    else {
      trouble.hidden = false;
      trouble.replaceChildren(make("p", `The review could not be submitted. ${answer.error}`));
    }
  }

  // What other tabs did in the meantime, when this one is looked at again.
  async function refresh() {
    if (!data.served || data.ended) return;
    const known = new Map(boxes.map((box) => [box, box.version]));
    try {
      const response = await fetch("state");
      if (!response.ok) return;
      const now = await response.json();
      if (now.submitted !== data.submitted) return location.reload();
      for (const box of boxes) {
        const entry = box.case === null ? now.overall : now.cases[box.number];
        // News is older than what was saved while it was on its way.
        const idle = !box.dirty() && !box.busy && !box.conflict && box.version === known.get(box);
        if (idle && entry.version !== box.version) box.take(entry);
      }
      if (problem) saveAll();
      report();
    } catch {
      // Saving says it where there is something to save.
    }
  }

  // Views: the overview, a case at a time, the end.
  const views = find(".view");
  const controls = document.querySelector(".controls");
  const shown = { view: "rendered", pair: controls.dataset.pair || "", repeat: "" };
  let current = 0;

  function go(number, focus = true) {
    current = Math.max(0, Math.min(views.length - 1, number));
    const view = views[current];
    views.forEach((other) => { other.hidden = other !== view; });
    controls.hidden = !view.classList.contains("case");
    for (const link of find("nav a")) {
      if (link.hash === `#${view.id}`) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    }
    history.replaceState(null, "", `#${view.id}`);
    window.scrollTo(0, 0);
    if (focus) view.querySelector("h2").focus({ preventScroll: true });
  }

  function arrange() {
    for (const button of find("[data-set]", controls)) {
      button.setAttribute("aria-pressed", String(shown[button.dataset.set] === button.value));
    }
    for (const part of find(".repeat")) part.hidden = part.dataset.repeat !== shown.repeat;
    for (const part of find(".output")) part.hidden = !shown.pair.includes(part.dataset.arm);
    for (const part of find(".outputs")) part.hidden = shown.view === "difference";
    for (const part of find(".rendered")) part.hidden = shown.view === "raw";
    for (const part of find(".raw")) part.hidden = shown.view !== "raw";
    for (const part of find(".difference")) part.hidden = shown.view !== "difference" || part.dataset.pair !== shown.pair;
  }

  function choose(kind, value) {
    shown[kind] = value;
    arrange();
  }

  function cycle(kind) {
    const values = find(`[data-set=${kind}]`, controls).map((button) => button.value);
    if (values.length > 1) choose(kind, values[(values.indexOf(shown[kind]) + 1) % values.length]);
  }

  // A quote of a verdict, where it stands in the output.
  function point(button) {
    const { arm, quote } = button.dataset;
    const output = button.closest(".repeat").querySelector(`.output[data-arm="${arm}"]`);
    if (!shown.pair.includes(arm)) {
      const pair = find("[data-set=pair]", controls).find((one) => one.value.includes(arm));
      if (pair) choose("pair", pair.value);
    }
    const at = (view) => find(`.${view} mark[data-quote="${quote}"]`, output);
    if (shown.view === "difference") choose("view", "rendered");
    if (!at(shown.view).length) choose("view", "raw");
    const marks = at(shown.view);
    if (!marks.length) return;
    find("mark.here").forEach((mark) => mark.classList.remove("here"));
    marks.forEach((mark) => mark.classList.add("here"));
    marks[0].scrollIntoView({ block: "center" });
  }

  // The whole of a long output, in pieces that are laid out when they come into sight.
  function showAll(button) {
    const output = button.closest(".output");
    const text = JSON.parse(document.getElementById(button.dataset.full).textContent);
    const raw = output.querySelector(".raw");
    const pieces = [];
    for (let at = 0; at < text.length; ) {
      const line = text.indexOf("\n", at + 8192) + 1;
      const end = line > 0 && line < at + 16384 ? line : Math.min(text.length, at + 16384);
      pieces.push(make("div", text.slice(at, end), { class: "piece" }));
      at = end;
    }
    raw.replaceChildren(...pieces);
    button.parentElement.hidden = true;
    choose("view", "raw");
  }

  function vote(key) {
    const form = views[current].querySelector("form.box");
    const radios = find("input[type=radio]", form || document.body);
    const radio = key === "0" ? radios.find((one) => one.value === "tie") : radios[Number(key) - 1];
    if (form && radio && radio.value !== "" && (key === "0" || radio.value !== "tie")) radio.click();
  }

  const keys = {
    j: () => go(current + 1),
    ArrowRight: () => go(current + 1),
    k: () => go(current - 1),
    ArrowLeft: () => go(current - 1),
    v: () => cycle("view"),
    c: () => cycle("pair"),
    r: () => cycle("repeat"),
    f: () => { const box = views[current].querySelector("textarea"); if (box) box.focus(); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target;
    if (target instanceof HTMLTextAreaElement) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const arrows = event.key.startsWith("Arrow");
    if (arrows && target.closest("input, .wide, .task, .raw")) return;
    const act = /^[0-9]$/.test(event.key) ? () => vote(event.key) : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button, a");
    if (!button) return;
    if (button.dataset.set) choose(button.dataset.set, button.value);
    else if (button.classList.contains("quote")) point(button);
    else if (button.classList.contains("all")) showAll(button);
    else if (button.id === "submit") submit();
    else if (button.id === "download") download();
    else if (button.tagName === "A" && button.hash && button.getAttribute("href").startsWith("#")) {
      const at = views.findIndex((view) => `#${view.id}` === button.hash);
      if (at >= 0) {
        event.preventDefault();
        go(at);
      }
    }
  });

  window.addEventListener("hashchange", () => go(Math.max(0, views.findIndex((view) => `#${view.id}` === location.hash))));
  window.addEventListener("pagehide", () => boxes.forEach((box) => box.leave()));
  window.addEventListener("focus", refresh);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") boxes.forEach((box) => box.leave());
    else refresh();
  });
  window.addEventListener("beforeunload", (event) => {
    if (data.served && problem && boxes.some((box) => box.dirty())) event.preventDefault();
  });

  const submitButton = document.getElementById("submit");
  submitButton.hidden = !data.served || data.ended;
  document.getElementById("download").hidden = data.served;
  if (data.submitted) document.getElementById("said").textContent = data.ended
    ? "The review is submitted. You can close this page."
    : "This review was submitted before. What you change is saved; submit to end it again.";

  for (const kind of ["pair", "repeat"]) {
    const first = controls.querySelector(`[data-set=${kind}]`);
    if (first) shown[kind] = first.value;
  }
  if (!shown.repeat) { const only = document.querySelector(".repeat"); shown.repeat = only ? only.dataset.repeat : ""; }
  arrange();
  go(Math.max(0, views.findIndex((view) => `#${view.id}` === location.hash)), false);
  saveAll();
})();
