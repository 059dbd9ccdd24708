// Draws the charts of a page and expands what is embedded in it. Nothing is fetched.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const style = getComputedStyle(document.documentElement);

  const expand = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  // Variables of the style, such as var(--window), as the colours that they stand for now.
  const coloured = (value) => {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map(coloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one)]));
    }
    return value;
  };

  const AXIS = {
    gridcolor: "var(--grid)", linecolor: "var(--line)", zerolinecolor: "var(--line)", zeroline: false,
    tickfont: { size: 11 }, automargin: true, title: { font: { size: 12 }, standoff: 6 }, hoverformat: "",
  };

  const merged = (base, over) => {
    const both = { ...base, ...over };
    for (const key of Object.keys(base)) {
      if (over && over[key] && typeof base[key] === "object" && typeof over[key] === "object") {
        both[key] = merged(base[key], over[key]);
      }
    }
    return both;
  };

  const layoutOf = (figure, node) => {
    const given = figure.layout || {};
    const small = node.classList.contains("small");
    const layout = {
      font: { family: "system-ui, sans-serif", size: 12, color: "var(--muted)" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 8, t: small ? 4 : 8, b: 8, pad: 0 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", font: { size: 12 } },
      hoverlabel: { font: { family: "system-ui, sans-serif" } },
      dragmode: false, autosize: true, ...given,
    };
    if (small) layout.showlegend = false;
    for (const key of new Set(["xaxis", "yaxis", ...Object.keys(given)])) {
      if (/^[xy]axis\d*$/.test(key)) layout[key] = merged(AXIS, given[key] || {});
    }
    return layout;
  };

  const draw = (node) => {
    const figure = JSON.parse(node.nextElementSibling.textContent);
    const shown = coloured({ data: figure.data, layout: layoutOf(figure, node) });
    return Plotly.react(node, shown.data, shown.layout, { displayModeBar: false, responsive: true, scrollZoom: false });
  };

  const drawAll = () => Promise.all([...document.querySelectorAll(".plot")].map(draw));

  // A page in a page: expanded once, when its section is opened, and as high as it is.
  const open = async (section) => {
    const place = section.querySelector(".frame");
    if (!section.open || place.firstChild) return;
    const frame = document.createElement("iframe");
    frame.title = section.querySelector("summary").textContent;
    place.append(frame);
    frame.srcdoc = await expand(section.dataset.page);
    frame.addEventListener("load", () => {
      const body = frame.contentDocument.body;
      const fit = () => { frame.style.height = `${Math.max(body.scrollHeight + 8, 400)}px`; };
      new ResizeObserver(() => requestAnimationFrame(fit)).observe(body);
      fit();
    });
  };

  document.querySelectorAll("details.embedded").forEach((section) => {
    section.addEventListener("toggle", () => open(section));
  });

  // A chart of a folded section has no width until the section is opened.
  document.querySelectorAll("details:not(.embedded)").forEach((section) => {
    section.addEventListener("toggle", () => {
      if (section.open) section.querySelectorAll(".js-plotly-plot").forEach((node) => Plotly.Plots.resize(node));
    });
  });

  const start = async () => {
    if (document.querySelector(".plot")) {
      const script = document.createElement("script");
      script.textContent = await expand("plotly");
      document.head.append(script);
      await drawAll();
      dark.addEventListener("change", drawAll);
    }
    document.documentElement.dataset.ready = "true";
  };
  start();
})();
