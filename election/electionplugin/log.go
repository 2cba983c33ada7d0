package electionplugin

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// hclogTo returns a logger for go-plugin that writes to l. Its messages include the
// program's output.
func hclogTo(l *slog.Logger) hclog.Logger {
	h := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Debug, Output: io.Discard})
	h.RegisterSink(sink{l})
	return h
}

type sink struct{ to *slog.Logger }

func (s sink) Accept(_ string, level hclog.Level, message string, args ...any) {
	s.to.Log(context.Background(), toLevel(level), message, args...)
}

func toLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Trace, hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// asHclog changes the attributes of slog's JSON lines so that go-plugin can read them.
func asHclog(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String("@timestamp", a.Value.Time().Format(hclog.TimeFormatJSON))
	case slog.LevelKey:
		level, _, _ := strings.Cut(strings.ToLower(a.Value.String()), "+")
		return slog.String("@level", level)
	case slog.MessageKey:
		return slog.String("@message", a.Value.String())
	}
	return a
}
