/* The way past the menus comes before the menus. */
document.body.prepend(document.querySelector(".skip-to-content"));
