"use strict";
// The same switch as Piccolo Admin's own.
try {
  if (JSON.parse(localStorage.getItem("darkMode") || "false")) document.documentElement.classList.add("dark");
} catch { /* an unreadable setting means light */ }
