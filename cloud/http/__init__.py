"""What every request goes through: guard, security headers, log line, problem details, the web app's files."""
