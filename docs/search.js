// The search takes "-" before a word as "without"; here it begins an option, as in --onto.
document.addEventListener("input", event => {
  const field = event.target
  if (field.matches(".md-search__input"))
    field.value = field.value.replace(/(^|\s)-+(?=\S)/g, "$1")
}, true)
