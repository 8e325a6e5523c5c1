"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const map = document.getElementById("map");
  const crumbs = document.getElementById("crumbs");
  const status = document.getElementById("map-status");
  const HEAD = 24; // pixels of a tile's title
  const LINE = 16; // of a name within it
  const GAP = 2;
  const DIGEST = 160; // of a tile that has room for a digest and some of the name before it
  const DEEPEST = 6; // levels within a tile

  // --- the tree: {name, size, files, shared, children}, made when it is looked at ---

  const fromSpace = ([name, size, files, children], shared) => ({
    name: name, size, files, shared, children: () => children.map((one) => fromSpace(one, shared)),
  });
  const fromLayer = (layer) => {
    const shared = layer.users.length > 1;
    const [, size, files, children] = layer.space;
    return {
      name: layer.label, size, files, shared, detail: `layer ${layer.id}`,
      children: () => children.map((one) => fromSpace(one, shared)),
    };
  };
  const sum = (nodes, key) => nodes.reduce((total, node) => total + node[key], 0);
  const group = (name, children, shared) => ({
    name, shared, size: sum(children, "size"), files: sum(children, "files"), children: () => children,
  });
  const bySize = (nodes) => nodes.filter((node) => node.size > 0).sort((a, b) => b.size - a.size);
  const roots = {
    layers: () => group("all layers", bySize(data.layers.map(fromLayer)), false),
    images: () => group("all images", bySize(data.images.map((image) => {
      const layers = bySize(image.layers.map((place) => fromLayer(data.layers[place])));
      return { ...group(image.label, layers, false), kind: "several", detail: image.name };
    })), false),
  };

  let path = [roots.images()];

  const shownSize = (count) => {
    for (const unit of ["B", "kB", "MB", "GB"]) {
      if (count < 999.5) {
        return unit === "B" ? `${count} B` : `${Number(count.toPrecision(3))} ${unit}`;
      }
      count /= 1000;
    }
    return `${Number(count.toPrecision(3))} TB`;
  };

  // --- squarified layout (Bruls, Huizing, van Wijk: "Squarified Treemaps", 2000) ---

  const worst = (row, side, scale) => {
    const total = sum(row, "size") * scale;
    const largest = row[0].size * scale;
    const least = row[row.length - 1].size * scale;
    return Math.max((side * side * largest) / (total * total), (total * total) / (side * side * least));
  };
  const layout = (nodes, box) => {
    const placed = [];
    const total = sum(nodes, "size");
    if (!total || box.width <= 0 || box.height <= 0) return placed;
    const scale = (box.width * box.height) / total;
    let { x, y, width, height } = box;
    let rest = nodes.slice();
    while (rest.length) {
      const side = Math.min(width, height);
      let count = 1;
      while (count < rest.length
        && worst(rest.slice(0, count + 1), side, scale) <= worst(rest.slice(0, count), side, scale)) count += 1;
      const row = rest.slice(0, count);
      const thick = (sum(row, "size") * scale) / side;
      let at = 0;
      for (const node of row) {
        const long = (node.size * scale) / thick;
        placed.push(width >= height
          ? { node, x, y: y + at, width: thick, height: long }
          : { node, x: x + at, y, width: long, height: thick });
        at += long;
      }
      if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
      rest = rest.slice(count);
    }
    return placed;
  };

  // --- drawing ---

  const place = (element, box) => {
    element.style.left = `${box.x}px`;
    element.style.top = `${box.y}px`;
    element.style.width = `${box.width}px`;
    element.style.height = `${box.height}px`;
  };
  const described = (node) => {
    const files = node.files === 1 ? "1 file" : `${node.files.toLocaleString("en")} files`;
    const sharing = node.shared ? "shared by several images" : "";
    return [node.name, node.detail, shownSize(node.size), files, sharing].filter(Boolean).join(", ");
  };
  const kindOf = (node) => node.kind || (node.shared ? "shared" : "own");
  const drawInner = (parent, node, inner, depth) => {
    if (inner.width < 40 || inner.height < 24 || depth > DEEPEST) return;
    for (const part of layout(bySize(node.children()), inner)) {
      const area = document.createElement("i");
      area.className = kindOf(part.node);
      const titled = part.width > 44 && part.height > 17;
      if (titled) {
        const name = document.createElement("em");
        name.textContent = part.node.name;
        area.append(name);
      }
      place(area, part);
      // Along the left edge the lines of all levels would lie side by side.
      if (part.x < 1) area.style.borderLeftWidth = "0";
      parent.append(area);
      if (titled) {
        const below = { x: 0, y: LINE, width: part.width - 1, height: part.height - LINE - 1 };
        drawInner(area, part.node, below, depth + 1);
      }
    }
  };
  // Where there is no room the size goes first, and a digest last: it may be all that tells
  // images of one repository apart.
  const drawTitle = (node, width) => {
    const title = document.createElement("b");
    const at = node.kind === "several" ? node.name.lastIndexOf("@") : -1;
    const made = (kind, ...content) => {
      const part = document.createElement("span");
      part.className = kind;
      part.append(...content);
      return part;
    };
    const label = at < 0
      ? [made("name", node.name)]
      : [made("name", width < DIGEST ? "" : node.name.slice(0, at)), made("digest", node.name.slice(at))];
    title.append(made("label", ...label), made("size", shownSize(node.size)));
    return title;
  };
  const drawTile = (box) => {
    const node = box.node;
    const open = node.children().length > 0;
    const tile = document.createElement(open ? "button" : "div");
    tile.className = `tile ${kindOf(node)}`;
    tile.title = described(node);
    if (open) {
      tile.type = "button";
      tile.setAttribute("aria-label", `${described(node)}: look into it`);
      tile.addEventListener("click", () => show([...path, node], true));
    } else {
      tile.tabIndex = 0;
      tile.setAttribute("role", "img");
      tile.setAttribute("aria-label", described(node));
    }
    place(tile, box);
    if (box.width > 34 && box.height > 20) {
      tile.append(drawTitle(node, box.width));
    }
    if (open) {
      const inner = { x: 0, y: HEAD, width: box.width - GAP, height: box.height - HEAD - GAP };
      drawInner(tile, node, inner, 1);
    }
    return tile;
  };
  const drawCrumbs = () => {
    crumbs.replaceChildren(...path.map((node, depth) => {
      const item = document.createElement("li");
      if (depth === path.length - 1) {
        item.textContent = `${node.name || "/"}, ${shownSize(node.size)}`;
        item.setAttribute("aria-current", "location");
      } else {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = node.name || "/";
        button.addEventListener("click", () => show(path.slice(0, depth + 1), true));
        item.append(button);
      }
      return item;
    }));
  };
  const show = (next, focus) => {
    const from = path[next.length];
    path = next;
    const node = path[path.length - 1];
    drawCrumbs();
    const box = { x: 0, y: 0, width: map.clientWidth, height: map.clientHeight };
    const tiles = layout(bySize(node.children()), box);
    map.replaceChildren(...tiles.map(drawTile));
    if (!tiles.length) map.textContent = "There are no files.";
    if (!focus) return;
    const last = tiles.findIndex((tile) => from && tile.node.name === from.name);
    const chosen = map.children[Math.max(0, last)];
    if (chosen) chosen.focus({ preventScroll: true });
    status.textContent = described(node);
  };

  // --- the keyboard ---

  const centre = (element) => {
    const box = element.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const neighbour = (tile, [dx, dy]) => {
    const [x, y] = centre(tile);
    let best = null;
    let least = Infinity;
    for (const other of map.children) {
      const [ox, oy] = centre(other);
      const along = (ox - x) * dx + (oy - y) * dy;
      const aside = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
      if (other !== tile && along > 1 && along + 2 * aside < least) {
        best = other;
        least = along + 2 * aside;
      }
    }
    return best;
  };
  map.addEventListener("keydown", (event) => {
    if ((event.key === "Escape" || event.key === "Backspace") && path.length > 1) {
      event.preventDefault();
      show(path.slice(0, -1), true);
    } else if (STEPS[event.key]) {
      event.preventDefault();
      const next = neighbour(event.target.closest(".tile"), STEPS[event.key]);
      if (next) next.focus();
    }
  });
  for (const input of document.querySelectorAll("input[name=group]")) {
    input.addEventListener("change", () => {
      show([roots[input.value]()], false);
      status.textContent = described(path[0]);
    });
  }

  document.getElementById("map-area").hidden = false;
  const chosen = document.querySelector("input[name=group]:checked");
  path = [roots[chosen ? chosen.value : "images"]()];
  show(path, false);
  let width = map.clientWidth;
  new ResizeObserver(() => {
    if (map.clientWidth !== width) {
      width = map.clientWidth;
      show(path, false);
    }
  }).observe(map);
})();
