/** The part of the timeline that scrolls: names and bars of the rows that can be seen, the choice, keyboard and pointer. */
import { h, keyed } from "../dom.ts";
import { isTrouble } from "../outcome.ts";
import { jobText } from "../parts/cells.ts";
import { now } from "../parts/time.ts";
import { keyAddress } from "../route.ts";
import { watchTheme } from "../theme.ts";
import { visible } from "../text.ts";
import { type Bar, type Choice, type Lane, nearest, type Step, step } from "./timeline-model.ts";
import { AXIS, paint, readColors, ROW } from "./timeline-paint.ts";

const STEPS: Readonly<Record<string, Step>> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
  Home: "first",
  End: "last",
};

/** How far from a bar the pointer may be, in pixels. */
const REACH = 6;

export interface Range {
  /** In ms: the left and the right edge, and the distance of the lines. */
  readonly from: number;
  readonly to: number;
  readonly tick: number;
  /** As in Scene. */
  readonly readFrom: number;
}

interface Callbacks {
  /** Asked for each drawing. */
  readonly range: () => Range;
  readonly chosen: () => void;
  readonly opened: (bar: Bar) => void;
  /** 1: out, -1: in. */
  readonly zoomed: (by: 1 | -1) => void;
}

export class TimelineBox {
  readonly element: HTMLElement;
  readonly #canvas = h("canvas");
  readonly #names = h("div", { class: "timeline-names" });
  /** As high as all rows, behind those that can be seen: the box and its scroll bar go by it. */
  readonly #space = h("div", { "aria-hidden": "true" });
  readonly #callbacks: Callbacks;
  #lanes: readonly Lane[] = [];
  #choice: Choice | undefined;
  #colors = readColors();
  #frame = 0;

  constructor(signal: AbortSignal, callbacks: Callbacks) {
    this.#callbacks = callbacks;
    this.element = h(
      "div",
      {
        class: "timeline",
        tabindex: 0,
        role: "application",
        "aria-label":
          "Timeline. Arrow keys go from run to run, plus and minus zoom, Enter opens. A table is below.",
        onkeydown: (event) => event instanceof KeyboardEvent && this.#press(event),
      },
      h("div", { class: "timeline-stage" }, this.#names, this.#canvas),
      this.#space,
    );
    this.element.addEventListener("scroll", () => this.redraw(), { passive: true });
    this.#canvas.addEventListener("pointermove", (event) => {
      const found = this.#at(event);
      this.#canvas.classList.toggle("is-over", found !== undefined);
      if (found !== undefined) this.#choose(found);
    });
    this.#canvas.addEventListener("pointerup", (event) => {
      this.#choose(this.#at(event));
      // A finger has not pointed at it before: its touch chooses, and the link below opens.
      if (event.pointerType === "mouse") this.#open();
    });
    const observer = new ResizeObserver(() => this.redraw());
    observer.observe(this.element);
    signal.addEventListener("abort", () => observer.disconnect());
    watchTheme(signal, () => {
      this.#colors = readColors();
      this.redraw();
    });
  }

  get chosen(): { readonly lane: Lane; readonly bar: Bar } | undefined {
    const lane = this.#choice && this.#lanes[this.#choice.lane];
    const bar = this.#choice && lane?.bars[this.#choice.bar];
    return lane && bar && { lane, bar };
  }

  /** Takes other lanes. The choice stays if its run is still there. */
  show(lanes: readonly Lane[]): void {
    const { jobId } = this.chosen?.bar ?? {};
    this.#lanes = lanes;
    this.#choice = undefined;
    for (const [lane, { bars }] of jobId === undefined ? [] : lanes.entries()) {
      const bar = bars.findIndex((one) => one.jobId === jobId);
      if (bar >= 0) this.#choice = { lane, bar };
    }
    this.element.hidden = lanes.length === 0;
    this.#space.style.height = `${lanes.length * ROW + AXIS}px`;
    this.redraw();
  }

  /** Draws with the next frame. */
  redraw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (!this.element.hidden) this.#draw();
    });
  }

  #draw(): void {
    // All is measured before anything is changed, so that the browser lays out once.
    const height = this.element.clientHeight;
    const top = this.element.scrollTop;
    const width = this.#canvas.clientWidth;
    const lanes = this.#lanes;
    this.#names.style.height = this.#canvas.style.height = `${height}px`;
    const scene = { ...this.#callbacks.range(), lanes, now: now(), choice: this.#choice, width, height, top };
    paint(this.#canvas, scene, this.#colors);

    const first = Math.floor(top / ROW);
    const seen = lanes
      .slice(first, first + Math.ceil(height / ROW) + 1)
      .map((lane, index) => ({ lane, top: AXIS + (first + index) * ROW - top }));
    keyed(this.#names, seen, {
      keyOf: ({ lane }) => lane.runKey,
      create: ({ lane: { runKey } }) =>
        // Not among the stops of Tab: the line below leads there, too.
        h("a", { href: keyAddress(runKey), tabindex: -1, title: visible(runKey) }, jobText(runKey)),
      update: (link, { lane, top: place }) => {
        link.style.top = `${place}px`;
        link.style.visibility = place < AXIS - ROW / 2 ? "hidden" : "";
        link.classList.toggle("bad", isTrouble(lane.bars.at(-1)!.status));
      },
    });
  }

  #press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = STEPS[event.key];
    if (to !== undefined) this.#choose(step(this.#lanes, this.#choice, to));
    else if (event.key === "+" || event.key === "=") this.#callbacks.zoomed(-1);
    else if (event.key === "-") this.#callbacks.zoomed(1);
    else if (event.key === "Enter") this.#open();
    else return;
    event.preventDefault();
    this.#reveal();
  }

  #choose(choice: Choice | undefined): void {
    if (choice?.lane === this.#choice?.lane && choice?.bar === this.#choice?.bar) return;
    this.#choice = choice;
    this.#callbacks.chosen();
    this.redraw();
  }

  #open(): void {
    if (this.chosen !== undefined) this.#callbacks.opened(this.chosen.bar);
  }

  /** Scrolls the chosen row into sight. */
  #reveal(): void {
    if (this.#choice === undefined) return;
    const { element } = this;
    const top = this.#choice.lane * ROW;
    const lowest = top + ROW + AXIS - element.clientHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (lowest > element.scrollTop) element.scrollTop = lowest;
  }

  #at(event: PointerEvent): Choice | undefined {
    const place = this.#canvas.getBoundingClientRect();
    const below = event.clientY - place.top - AXIS;
    const lane = Math.floor((below + this.element.scrollTop) / ROW);
    if (below < 0 || this.#lanes[lane] === undefined) return undefined;
    const { from, to } = this.#callbacks.range();
    const perPixel = (to - from) / place.width;
    const bar = nearest(this.#lanes[lane], from + (event.clientX - place.left) * perPixel, REACH * perPixel);
    return bar < 0 ? undefined : { lane, bar };
  }
}
