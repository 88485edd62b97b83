// Programs that send a request: with curl, in Python, in JavaScript.

import { authorization } from "./key.js";

const KEY = "API_KEY"; // the environment variable that the programs read: they never have the key itself

/** Returns the program in a language ("curl", "python" or "javascript") that sends `body` to a task of this service. */
export function programOf(language, task, body) {
  const fields = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  const service = new URL(".", location.href).href.replace(/\/$/u, "");
  const hasKey = "Authorization" in authorization();
  return { curl, python, javascript }[language](service, task, fields, hasKey);
}

function curl(service, task, fields, hasKey) {
  const key = hasKey ? ` \\\n  -H "Authorization: Bearer $${KEY}"` : "";
  const json = JSON.stringify(fields).replaceAll("'", String.raw`'\''`);
  return `curl -s ${service}/${task} -H 'Content-Type: application/json'${key} \\\n  -d '${json}'`;
}

function python(service, task, { text, prompt, ...options }, hasKey) {
  const values = [pythonOf(text ?? prompt), ...Object.entries(options).map(([name, value]) => `${name}=${pythonOf(value)}`)];
  const [imported, key] = hasKey ? ["import os\n\n", `, api_key=os.environ["${KEY}"]`] : ["", ""];
  return `${imported}from tagwerk.client import Client

with Client("${service}"${key}) as client:
    for result in client.${task}(
${values.map((value) => `        ${value},`).join("\n")}
    ):
        print(result)`;
}

/** Returns a value of JSON as Python writes it. JSON's escapes are Python's as well, but for halves of a character. */
function pythonOf(value) {
  if (Array.isArray(value)) return `[${value.map((item) => pythonOf(item)).join(", ")}]`;
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}

function javascript(service, task, fields, hasKey) {
  const key = hasKey ? `, Authorization: \`Bearer \${process.env.${KEY}}\`` : "";
  return `const answer = await fetch("${service}/${task}", {
  method: "POST",
  headers: { "Content-Type": "application/json"${key} },
  body: JSON.stringify(${JSON.stringify(fields, null, 2).replaceAll("\n", "\n  ")}),
});
console.log(await answer.json());`;
}
