/** The page in the browser. */
const answer = await fetch("/api/overview");
const text = await answer.text();
console.debug(text.length);
