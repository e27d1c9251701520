// The chosen theme, before anything is painted. A classic script: modules run too late for that.
"use strict";
(() => {
  const KEY = "receiver-theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const root = document.documentElement;
  let theme = "system";
  try {
    theme = localStorage.getItem(KEY) || "system";
  } catch {
    // a browser that keeps nothing: the system's theme
  }

  function apply() {
    if (theme in NEXT === false) theme = "system";
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  }

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = `Theme: ${theme}`;
    };
    label();
    button.addEventListener("click", () => {
      theme = NEXT[theme];
      apply();
      label();
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // then it lasts as long as the page
      }
    });
  });
})();
