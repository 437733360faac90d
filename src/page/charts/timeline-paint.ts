/** Draws a timeline on a canvas: only the rows that can be seen, each bar with a shape of its outcome. */
import { MARKS, STATUSES } from "../outcome.ts";
import { clock, day } from "../text.ts";
import type { Status } from "../wire.ts";
import { type Bar, type Choice, firstAfter, type Lane, ticks } from "./timeline-model.ts";

export const ROW = 28;
export const AXIS = 28;

export interface Scene {
  readonly lanes: readonly Lane[];
  /** In ms: what is at the left and at the right edge, and now. */
  readonly from: number;
  readonly to: number;
  readonly now: number;
  readonly tick: number;
  /** Runs that ended before this, in ms, were not read. */
  readonly readFrom: number;
  readonly choice: Choice | undefined;
  /** In CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** How far it is scrolled. */
  readonly top: number;
}

interface Colors {
  readonly status: Readonly<Record<Status, string>>;
  /** Of bars that SUCCEEDED: there are many, so they are quiet. */
  readonly quiet: string;
  readonly ground: string;
  readonly line: string;
  readonly soft: string;
  readonly text: string;
  readonly accent: string;
}

/** Reads the colours of the theme from elements: a custom property alone would be its unresolved text. */
export function readColors(): Colors {
  const probe = document.createElement("span");
  document.body.append(probe);
  const color = (className: string) => {
    probe.className = className;
    return getComputedStyle(probe).color;
  };
  const colors = {
    status: Object.fromEntries(STATUSES.map((status) => [status, color(`outcome-${status}`)])) as Record<
      Status,
      string
    >,
    quiet: color("color-succeeded-bar"),
    ground: color("color-surface"),
    line: color("color-line"),
    soft: color("soft"),
    text: color(""),
    accent: color("color-accent"),
  };
  probe.remove();
  return colors;
}

const marks = Object.fromEntries(STATUSES.map((status) => [status, new Path2D(MARKS[status])])) as Record<
  Status,
  Path2D
>;

export function paint(canvas: HTMLCanvasElement, scene: Scene, colors: Colors): void {
  const { width, height, from, to, lanes, top, now } = scene;
  const ratio = devicePixelRatio;
  if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
    canvas.width = width * ratio;
    canvas.height = height * ratio;
  }
  const pen = canvas.getContext("2d")!;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const x = (time: number) => ((time - from) / (to - from)) * width;

  // What was not read must not look as if nothing had run.
  const unread = x(scene.readFrom);
  pen.fillStyle = colors.line;
  if (unread > 0) pen.fillRect(0, AXIS, Math.min(unread, width), height);
  drawGrid(pen, scene, colors, x);
  const first = Math.max(0, Math.floor(top / ROW));
  const last = Math.min(lanes.length, Math.ceil((top + height - AXIS) / ROW));
  pen.save();
  pen.beginPath();
  pen.rect(0, AXIS, width, height - AXIS);
  pen.clip();
  const stripes = stripesOf(colors);
  for (let index = first; index < last; index += 1) {
    const lane = lanes[index]!;
    const middle = AXIS + index * ROW - top + ROW / 2;
    pen.fillStyle = colors.line;
    pen.fillRect(0, Math.round(middle + ROW / 2) - 1, width, 1);
    // Where the pixel of the last bar ended: of many bars within one pixel, those that say nothing new are left out.
    let drawn = -1;
    let worst = 0;
    const marked: [Bar, number, number][] = [];
    for (let at = firstAfter(lane, from); at < lane.bars.length; at += 1) {
      const bar = lane.bars[at]!;
      if (bar.from > to) break;
      const left = x(bar.from);
      const right = Math.max(left + 3, x(Math.min(bar.to, now, to)));
      const weight = bar.status === "FAILED" || bar.status === "LOST" ? 2 : 1;
      if (right - drawn < 1 && weight <= worst) continue;
      if (isMarked(bar.status)) marked.push([bar, left, right]);
      else drawBar(pen, bar, left, right, middle, colors, stripes);
      drawn = right;
      worst = weight;
    }
    // What needs a look is not covered by what comes after it.
    for (const [bar, left, right] of marked) drawBar(pen, bar, left, right, middle, colors, stripes);
  }
  drawChoice(pen, scene, colors, x);
  pen.restore();
}

const isMarked = (status: Status) => status === "FAILED" || status === "LOST" || status === "CANCELLED";

function drawGrid(
  pen: CanvasRenderingContext2D,
  scene: Scene,
  colors: Colors,
  x: (time: number) => number,
): void {
  const { from, to, tick, width, height, now } = scene;
  pen.font = `12px ${getComputedStyle(document.documentElement).fontFamily}`;
  pen.textBaseline = "middle";
  const isDays = tick >= 86_400_000;
  // As many labels as there is room for.
  const every = Math.ceil((isDays ? 84 : 52) / Math.max(1, (tick / (to - from)) * width));
  for (const [index, time] of ticks(from, to, tick).entries()) {
    const left = Math.round(x(time));
    pen.fillStyle = colors.line;
    pen.fillRect(left, AXIS - 6, 1, height);
    if (index % every !== 0 || left > width - 40) continue;
    const isMidnight = !isDays && clock(time) === "00:00";
    pen.fillStyle = isMidnight ? colors.text : colors.soft;
    pen.fillText(isDays || isMidnight ? day(time).slice(5) : clock(time), left + 4, AXIS / 2);
  }
  pen.fillStyle = colors.line;
  pen.fillRect(0, AXIS - 1, width, 1);
  if (now >= from && now <= to) {
    pen.fillStyle = colors.accent;
    pen.fillRect(Math.round(x(now)) - 1, AXIS - 6, 2, height);
  }
}

/** What fills a failed bar: lines across it. */
function stripesOf(colors: Colors): CanvasPattern {
  const tile = new OffscreenCanvas(6, 6);
  const pen = tile.getContext("2d")!;
  pen.fillStyle = colors.status.FAILED;
  pen.fillRect(0, 0, 6, 6);
  pen.strokeStyle = colors.ground;
  pen.lineWidth = 1.4;
  pen.stroke(new Path2D("M-1 7 7 -1M-1 1 1 -1M5 7 7 5"));
  return pen.createPattern(tile, "repeat")!;
}

function drawBar(
  pen: CanvasRenderingContext2D,
  { status, to }: Bar,
  left: number,
  right: number,
  middle: number,
  colors: Colors,
  stripes: CanvasPattern,
): void {
  const color = colors.status[status];
  const width = right - left;
  pen.fillStyle = color;
  pen.strokeStyle = color;
  const box = (half: number, radius = 2) => {
    pen.beginPath();
    pen.roundRect(left, middle - half, width, half * 2, Math.min(radius, width / 2));
  };
  if (status === "SUCCEEDED") {
    pen.fillStyle = colors.quiet;
    box(5);
    pen.fill();
  } else if (status === "RUNNING" || status === "STARTING") {
    box(5, 0);
    pen.fill();
    // An arrow: it goes on.
    if (to === Infinity) pen.fill(new Path2D(`M${right} ${middle - 8}l7 8l-7 8Z`));
  } else if (width < 14) {
    drawMark(pen, status, left + width / 2, middle, 12, colors);
  } else {
    box(7);
    pen.fillStyle = status === "FAILED" ? stripes : colors.ground;
    pen.fill();
    pen.lineWidth = 1.5;
    pen.setLineDash(status === "LOST" ? [3, 2] : []);
    pen.stroke();
    pen.setLineDash([]);
    drawMark(pen, status, left + width / 2, middle, 12, colors);
  }
}

function drawMark(
  pen: CanvasRenderingContext2D,
  status: Status,
  x: number,
  y: number,
  size: number,
  colors: Colors,
): void {
  pen.save();
  pen.translate(x - size / 2, y - size / 2);
  pen.scale(size / 16, size / 16);
  pen.lineCap = pen.lineJoin = "round";
  // A rim of the ground's colour keeps it apart from what is below.
  pen.strokeStyle = colors.ground;
  pen.lineWidth = 7;
  pen.stroke(marks[status]);
  pen.strokeStyle = colors.status[status];
  pen.lineWidth = 3;
  pen.stroke(marks[status]);
  pen.restore();
}

function drawChoice(
  pen: CanvasRenderingContext2D,
  scene: Scene,
  colors: Colors,
  x: (time: number) => number,
): void {
  const { choice, lanes, top, now, to } = scene;
  const bar = choice === undefined ? undefined : lanes[choice.lane]?.bars[choice.bar];
  if (choice === undefined || bar === undefined) return;
  const left = x(bar.from);
  const right = Math.max(left + 3, x(Math.min(bar.to, now, to)));
  const middle = AXIS + choice.lane * ROW - top + ROW / 2;
  pen.strokeStyle = colors.text;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.roundRect(left - 4, middle - ROW / 2 + 2, right - left + 8, ROW - 5, 4);
  pen.stroke();
}
