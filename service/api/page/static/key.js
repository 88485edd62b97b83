// The API key: a form asks for it if the service requires one. It is kept in the browser tab's session storage.

const ITEM = "tagwerk-api-key";
const form = document.querySelector("#key");
const { key: field, forget } = form.elements;
let key = "";

try {
  key = sessionStorage.getItem(ITEM) ?? "";
} catch {
  // The browser blocks storage: the key is kept until the page is reloaded.
}

/** Returns the headers that authenticate a request; none without a key. */
export function authorization() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Shows the form, with a button to forget the key if there is one. */
export function showKeyForm() {
  form.hidden = false;
  forget.hidden = !key;
  field.placeholder = key ? "A key is in use" : "";
}

/** Calls a function after each change of the key. */
export function onKeyChange(listener) {
  const set = (value) => {
    key = value;
    try {
      if (key) sessionStorage.setItem(ITEM, key);
      else sessionStorage.removeItem(ITEM);
    } catch {
      // as above
    }
    field.value = "";
    showKeyForm();
    listener();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    set(field.value.trim());
  });
  forget.addEventListener("click", () => {
    set("");
    field.focus();
  });
}

if (key) showKeyForm();
