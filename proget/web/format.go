package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/proget-go/ha/internal/quantity"
)

// functions returns the functions that templates call.
func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset":   func(name string) string { return a.urls[name] },
		"bytes":   quantity.Bytes,
		"count":   func(n any) string { return quantity.Count(number(n)) },
		"plural":  func(n any, noun string) string { return quantity.Of(number(n), noun) },
		"moment":  func(t time.Time) moment { return newMoment(t, time.Now()) },
		"excerpt": excerpt,
		"hostPath": func(u string) string {
			_, rest, _ := strings.Cut(u, "://")
			return excerpt(rest, 80)
		},
	}
}

// number converts the integer types that views use.
func number(n any) int64 {
	if n, ok := n.(int); ok {
		return int64(n)
	}
	return n.(int64) // any other type is a mistake in a template, which its test finds
}

// A moment is a time as a page shows it: how long ago, and exactly.
type moment struct {
	Ago   string
	Exact string
	ISO   string
}

func newMoment(t, now time.Time) moment {
	t = t.UTC()
	return moment{Ago: formatAgo(now.Sub(t)), Exact: t.Format("Monday, 2 January 2006, 15:04:05 UTC"), ISO: t.Format(time.RFC3339)}
}

// formatAgo says how long ago something happened. Because servers' clocks differ a
// little, it shows times in the future as just now.
func formatAgo(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 10*time.Second:
		return "just now"
	case d < time.Minute:
		return quantity.Of(int64(d/time.Second), "second") + " ago"
	case d < time.Hour:
		return quantity.Of(int64(d/time.Minute), "minute") + " ago"
	case d < day:
		return quantity.Of(int64(d/time.Hour), "hour") + " ago"
	case d < 60*day:
		return quantity.Of(int64(d/day), "day") + " ago"
	case d < 2*365*day:
		return quantity.Of(int64(d/(30*day)), "month") + " ago"
	}
	return quantity.Of(int64(d/(365*day)), "year") + " ago"
}

// formatSkew formats a clock's deviation with its sign.
func formatSkew(d time.Duration) string {
	switch {
	case d.Abs() < time.Millisecond:
		return "under 1 ms"
	case d.Abs() < time.Second:
		return fmt.Sprintf("%+d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%+.1f s", d.Seconds())
}

// formatAge formats the age of a heartbeat.
func formatAge(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s ago", d.Seconds())
	}
	return formatAgo(d)
}

// excerpt returns the beginning of a text, on one line.
func excerpt(text string, limit int) string {
	text = strings.Join(strings.Fields(text[:min(len(text), 8*limit)]), " ")
	text = strings.ToValidUTF8(text, "")
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	cut := string([]rune(text)[:limit])
	if i := strings.LastIndexByte(cut, ' '); i > limit/2 {
		cut = cut[:i]
	}
	return cut + "…"
}
