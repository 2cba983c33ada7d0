package main

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// secret reads an environment variable, or the file named by the variable with _FILE.
func secret(name string) (string, error) {
	if v := os.Getenv(name); v != "" {
		return v, nil
	}
	file := os.Getenv(name + "_FILE")
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usageError(fmt.Sprintf("%s_FILE: %v", name, err))
	}
	value := strings.TrimSpace(string(text))
	if value == "" {
		return "", usageError(fmt.Sprintf("%s_FILE: %s has no text", name, file))
	}
	return value, nil
}

// password matches one in a list of parameters, in the quotes of ADO or ODBC if it has a
// semicolon.
var password = regexp.MustCompile(`(?i)(password|pwd)\s*=\s*(\{([^}]|\}\})*\}|"([^"]|"")*"|'([^']|'')*'|)[^;]*`)

// userinfo matches a password even in text that Go cannot parse as a URL.
var userinfo = regexp.MustCompile(`(://[^/:@]*:).*@`)

// redact removes the password from a connection string.
func redact(dsn string) string {
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		dsn = u.Redacted()
	} else {
		dsn = userinfo.ReplaceAllString(dsn, "$1***@")
	}
	return password.ReplaceAllString(dsn, "$1=***")
}
