/**
 * What turns one list of todos into the next, in the order of the lists.
 * @param {Map<string, object>} before by id
 * @param {object[]} after
 * @returns {{op: "insert" | "update" | "delete", todo?: object, id?: string}[]}
 */
export function diffTodos(before, after) {
  const changes = [];
  const ids = new Set(after.map((todo) => todo.id));
  for (const id of before.keys()) {
    if (!ids.has(id)) changes.push({ op: "delete", id });
  }
  for (const todo of after) {
    const old = before.get(todo.id);
    if (old === undefined) changes.push({ op: "insert", todo });
    else if (JSON.stringify(old) !== JSON.stringify(todo)) changes.push({ op: "update", todo });
  }
  return changes;
}
