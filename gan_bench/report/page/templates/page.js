"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // Sample grids: data.grids has the epochs of a run but the last, whose image is in the page.
  const frames = new Map();
  for (const [run, grids] of Object.entries(data.grids)) frames.set(run, new Map(grids));
  for (const image of $$("img[data-run]")) {
    const run = image.dataset.run;
    if (!frames.has(run)) frames.set(run, new Map());
    frames.get(run).set(Number(image.dataset.epoch), image.src);
  }
  const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
  const upTo = (numbers, limit) => sorted(numbers).filter((n) => n <= limit).pop() ?? sorted(numbers)[0];

  function scoreText(section, run, epoch) {
    const known = data.scores[section]?.[run] ?? [];
    const at = known.filter(([e]) => e <= epoch).pop();
    if (!at) return known.length ? "not scored yet" : "";
    return `${data.titles[section]} ${at[1]}` + (at[0] === epoch ? "" : ` (epoch ${at[0]})`);
  }

  function showEpoch(figure, section, epoch) {
    const image = figure.querySelector("img[data-run]");
    if (!image) return;
    const run = image.dataset.run;
    const own = upTo(frames.get(run).keys(), epoch);
    image.src = frames.get(run).get(own);
    image.alt = image.alt.replace(/epoch \d+$/, `epoch ${own}`);
    const score = figure.querySelector(".score");
    if (score) score.textContent = scoreText(section, run, own);
  }

  // A slider over epochs with its Play button; `show` draws one epoch.
  function player(box, getEpochs, show) {
    const slider = box.querySelector("input[type=range]");
    const output = box.querySelector("output");
    const button = box.querySelector(".play");
    let timer = 0;
    const draw = () => {
      const epochs = getEpochs();
      const epoch = epochs[Math.min(slider.value, epochs.length - 1)];
      output.textContent = `epoch ${epoch} of ${epochs[epochs.length - 1]}`;
      slider.setAttribute("aria-valuetext", output.textContent);
      show(epoch);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      button?.setAttribute("aria-pressed", "false");
      if (button) button.textContent = "▶ Play";
    };
    slider.addEventListener("input", () => { stop(); draw(); });
    button?.addEventListener("click", () => {
      if (timer) return stop();
      const last = getEpochs().length - 1;
      if (Number(slider.value) >= last) slider.value = 0;
      button.setAttribute("aria-pressed", "true");
      button.textContent = "❚❚ Pause";
      draw();
      timer = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        draw();
        if (Number(slider.value) >= last) stop();
      }, Math.max(150, Math.min(500, 5000 / last)));
    });
    const reset = () => {
      stop();
      slider.min = 0;
      slider.max = getEpochs().length - 1;
      slider.value = slider.max;
      draw();
    };
    return { reset, stop };
  }

  for (const hero of $$(".hero-grids")) {
    const box = hero.querySelector(".player");
    if (!box) continue;
    const epochs = box.querySelector("input").dataset.epochs.split(",").map(Number);
    const show = (epoch) => $$("figure", hero).forEach((each) => showEpoch(each, hero.dataset.section, epoch));
    player(box, () => epochs, show).reset();
  }

  for (const controls of $$(".samples-controls")) {
    const section = controls.dataset.galleries;
    const galleries = $$(`.gallery[data-of="${section}"]`);
    const select = controls.querySelector("select");
    const shown = () => galleries.filter((each) => !each.hidden);
    const epochs = () => {
      const runs = shown().flatMap((each) => $$("img[data-run]", each)).map((image) => image.dataset.run);
      return sorted(new Set(runs.flatMap((run) => [...frames.get(run).keys()])));
    };
    const show = (epoch) =>
      shown().flatMap((each) => $$("figure", each)).forEach((each) => showEpoch(each, section, epoch));
    const slider = player(controls, epochs, show);
    const choose = () => {
      galleries.forEach((each) => { each.hidden = select.value !== "" && each.dataset.model !== select.value; });
      slider.reset();
    };
    select.addEventListener("change", choose);
    choose();
  }

  // A grid enlarged, with its own epochs.
  const viewer = document.getElementById("viewer");
  let viewed = "";
  const large = player(
    viewer.querySelector(".player"),
    () => (viewed ? sorted(frames.get(viewed).keys()) : [0]),
    (epoch) => {
      if (!viewed) return;
      const image = viewer.querySelector("img");
      image.src = frames.get(viewed).get(epoch);
      image.alt = `images of ${data.names[viewed]}, epoch ${epoch}`;
    },
  );
  for (const button of $$("button.open")) {
    button.addEventListener("click", () => {
      viewed = button.dataset.run;
      viewer.querySelector("h2").textContent = data.names[viewed];
      large.reset();
      viewer.showModal();
    });
  }
  viewer.addEventListener("close", () => large.stop());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });

  // Tables: sorting by a heading, and filtering the runs.
  function sortBy(table, index, descending) {
    const body = table.tBodies[0];
    const value = (row) => {
      const text = row.cells[index].dataset.v;
      return text === undefined ? null : isNaN(text) || text === "" ? text.toLowerCase() : Number(text);
    };
    const rows = [...body.rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
      return descending ? -order : order;
    });
    body.append(...rows.map(([, row]) => row));
    [...table.tHead.rows[0].cells].forEach((cell, each) => {
      if (each === index) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }
  for (const table of $$("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((cell, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      button.addEventListener("click", () => {
        const now = cell.getAttribute("aria-sort");
        const first = cell.textContent.endsWith("↑");
        sortBy(table, index, now ? now === "ascending" : first);
      });
      cell.replaceChildren(button);
    });
  }
  for (const tile of $$("a[data-sort]")) {
    tile.addEventListener("click", () => {
      const table = document.getElementById(tile.dataset.sort);
      const heads = [...table.tHead.rows[0].cells];
      const index = heads.findIndex((cell) => cell.dataset.name === tile.dataset.column);
      if (index >= 0) sortBy(table, index, heads[index].textContent.endsWith("↑"));
    });
  }
  const filter = document.getElementById("filter");
  if (filter) {
    const rows = [...document.getElementById("runs-table").tBodies[0].rows];
    const texts = rows.map((row) => `${row.cells[0].querySelector("[title]")?.title ?? ""} ${row.textContent}`.toLowerCase());
    const outcomes = rows.map((row) => row.cells[4].dataset.v);
    const [search, outcome] = [filter.querySelector("input"), filter.querySelector("select")];
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      rows.forEach((row, index) => {
        const fits = words.every((word) => texts[index].includes(word));
        row.hidden = !fits || (outcome.value !== "" && outcome.value !== outcomes[index]);
        count += !row.hidden;
      });
      filter.querySelector("output").textContent = `${count} of ${rows.length} runs`;
    };
    search.addEventListener("input", apply);
    outcome.addEventListener("change", apply);
    apply();
  }

  // Charts: drawn again where they come into view, as wide as the page allows.
  const tip = document.getElementById("tip");
  function showTip(_, event, item, value) {
    if (value === null || value === undefined || value === "") { tip.hidden = true; return; }
    const list = document.createElement("dl");
    for (const [name, text] of Object.entries(value)) {
      const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      detail.textContent = text;
      list.append(term, detail);
    }
    tip.replaceChildren(list);
    tip.hidden = false;
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    const x = event.clientX + 14 + width > innerWidth ? event.clientX - width - 14 : event.clientX + 14;
    const y = event.clientY + 14 + height > innerHeight ? event.clientY - height - 14 : event.clientY + 14;
    tip.style.left = `${Math.max(4, x)}px`;
    tip.style.top = `${Math.max(4, y)}px`;
  }

  const hidden = new Set();
  const views = new Map();
  const settings = new Map();

  function variant(name) {
    const chart = data.charts[name];
    const chosen = settings.get(name) ?? {};
    const spec = structuredClone(chart.spec);
    const narrow = document.getElementById(name).clientWidth < 480;
    for (const layer of spec.layer ?? []) {
      const { x, y } = layer.encoding ?? {};
      if (narrow && y?.axis?.labelLimit) y.axis.labelLimit = 96;
      if (chosen.x && x?.field && chart.x) {
        x.field = chosen.x;
        x.title = chart.x[chosen.x];
      }
      if (chosen.logx !== undefined && x?.scale && chart.x) {
        x.scale = { ...x.scale, type: chosen.logx ? "log" : "linear" };
        x.axis = { ...x.axis, values: chosen.logx ? data.ticks : undefined };
      }
      if (chosen.log !== undefined && y?.scale) {
        y.scale = chosen.log
          ? { type: "log", nice: false, padding: 12 }
          : { zero: false, nice: true, padding: 8 };
        y.axis = { ...y.axis, values: chosen.log ? data.ticks : undefined };
      }
    }
    spec.width = "container";
    return spec;
  }

  async function draw(name) {
    const box = document.getElementById(name);
    const target = document.createElement("div");
    target.className = "vega";
    target.style.width = `${box.clientWidth}px`;
    box.append(target);
    const options = { ast: true, renderer: "svg", defaultStyle: false, actions: false, tooltip: showTip };
    const { view, finalize } = await window.vegaEmbed(target, variant(name), options);
    await view.signal("hidden", [...hidden]).runAsync();
    views.get(name)?.finalize();
    target.style.width = "";
    target.querySelector("svg").setAttribute("aria-hidden", "true");
    box.replaceChildren(target);
    views.set(name, { view, finalize, width: box.clientWidth });
  }
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watch.unobserve(entry.target);
      draw(entry.target.id);
    }
  }, { rootMargin: "400px" });
  for (const name of Object.keys(data.charts)) watch.observe(document.getElementById(name));
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const [name, drawn] of views) {
        if (document.getElementById(name).clientWidth !== drawn.width) draw(name);
      }
    }, 150);
  });
  for (const controls of $$("[data-chart]")) {
    controls.addEventListener("change", (event) => {
      const name = controls.dataset.chart;
      const input = event.target;
      const value = input.type === "checkbox" ? input.checked : input.value;
      settings.set(name, { ...settings.get(name), [input.dataset.set]: value });
      draw(name);
    });
  }

  // Models: hidden or shown in every chart; a grey one takes the color of the last colored one.
  for (const chip of $$(".chip")) {
    chip.addEventListener("click", () => {
      const model = Number(chip.dataset.model);
      hidden.has(model) ? hidden.delete(model) : hidden.add(model);
      for (const each of $$(`.chip[data-model="${model}"]`)) {
        each.setAttribute("aria-pressed", String(!hidden.has(model)));
      }
      for (const { view } of views.values()) view.signal("hidden", [...hidden]).runAsync();
    });
  }
  const slots = data.colored; // the model that has each color
  let next = slots.length - 1;
  for (const pick of $$(".pick")) {
    pick.addEventListener("click", () => {
      const model = Number(pick.dataset.color);
      if (slots.includes(model)) return;
      root.style.setProperty(`--m${slots[next]}`, "var(--grey)");
      root.style.setProperty(`--m${model}`, `var(--c${next})`);
      slots[next] = model;
      next = (next || slots.length) - 1;
    });
  }

  for (const button of $$(".copy")) {
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("pre").textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // Contents: the section in view is marked; before printing everything is opened.
  const links = new Map($$("nav.contents a").map((link) => [link.hash.slice(1), link]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      const link = links.get(entry.target.id);
      link?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) {
    const target = document.getElementById(id);
    if (target) spy.observe(target);
  }
  for (const box of $$(".scroll")) {
    const edge = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    box.addEventListener("scroll", edge, { passive: true });
    addEventListener("resize", edge);
    edge();
  }
  addEventListener("beforeprint", () => $$("details").forEach((each) => { each.open = true; }));
})();
