// search filters operations by the words in their method, path, summary and description.
function search() {
  const text = (tag, op) => ["method", "path", "id"].map((name) => op.get(name)).concat(tag,
    ["operationId", "summary", "description"].map((name) => op.getIn(["operation", name]))).join(" ").toLowerCase();
  return { fn: { opsFilter: (tags, phrase) => {
    const words = phrase.toLowerCase().split(/\s+/);
    return tags.map((tag, name) => tag.update("operations", (ops) =>
      ops.filter((op) => words.every((word) => text(name, op).includes(word))))).filter((tag) => tag.get("operations").size > 0);
  } } };
}

// plainPaths shows the path of an operation as text: a link in the button that opens the operation cannot be
// reached with all assistive technologies.
function plainPaths() {
  return { wrapComponents: { DeepLink: (_, system) => (props) => system.React.createElement("span", null, props.text) } };
}

// label names the controls that Swagger UI leaves without a name, whenever it has changed the page.
function label() {
  const name = (selector, text) => document.querySelectorAll(selector).forEach((element) => {
    const value = typeof text === "string" ? text : text(element);
    if (value && element.getAttribute("aria-label") !== value) {
      element.setAttribute("aria-label", value);
    }
  });
  const filter = document.querySelector(".operation-filter-input");
  if (filter) {
    filter.placeholder = "Search operations";
  }
  name(".operation-filter-input", "Search operations");
  name("#servers", "Server");
  name(".body-param__text", "Request body");
  name(".examples-select-element", "Example");
  name(".close-modal", "Close");
  name(".modal-btn.authorize", (button) => button.textContent);
  name("tr[data-param-name] :is(input, select, textarea)", (field) => field.closest("tr").dataset.paramName);
}

new MutationObserver(label).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
