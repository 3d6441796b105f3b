/* The way past the menus comes before the menus. */
document.body.prepend(document.querySelector(".skip-to-content"));
/* The headings of the list at the side say of which rank they are. */
document.querySelectorAll(".caption[role=heading]").forEach(one => one.setAttribute("aria-level", "2"));
/* What scrolls sideways can be reached, and then scrolled, by keyboard: also once a window is turned or a fold opened. */
const reach = one => one.scrollWidth > one.clientWidth ? one.tabIndex = 0 : one.removeAttribute("tabindex");
const sized = new ResizeObserver(seen => seen.forEach(({target}) => reach(target)));
document.querySelectorAll("pre, .table-wrapper, div.output").forEach(one => sized.observe(one));
