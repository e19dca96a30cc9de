/** Lets at most `max` tasks run at a time; the others wait in the order they came. */
export function createLimit(max) {
  let running = 0;
  const waiting = [];
  return async function run(task) {
    if (running >= max) await new Promise((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      // A waiting task takes over this place, so the count stays as it is.
      if (next) next();
      else running -= 1;
    }
  };
}
