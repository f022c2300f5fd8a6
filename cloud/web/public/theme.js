// Runs before the first paint, so that a chosen theme never flashes. A file of its own: inline scripts are not allowed.
try {
  const theme = localStorage.getItem('milepost.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's theme it is.
}
