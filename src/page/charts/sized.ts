/** A chart that is drawn for the width it has, so that its texts are as large on a phone as on a desk. */

/** Calls `draw` with the width of an element in pixels, now and when it changes. Returns what draws it again. */
export function drawSized(element: Element, signal: AbortSignal, draw: (width: number) => void): () => void {
  let width = 0;
  const observer = new ResizeObserver(([entry]) => {
    const now = Math.floor(entry?.contentRect.width ?? 0);
    if (now === width || now === 0) return;
    width = now;
    draw(width);
  });
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
  return () => {
    if (width > 0) draw(width);
  };
}
