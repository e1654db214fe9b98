// The one thing that needs a script: choosing light or dark against the system's choice.
const button = document.getElementById("theme"), root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
button.hidden = false;
button.onclick = () => { root.dataset.theme = dark() ? "light" : "dark"; };
