// Package variant builds the reference server with parts of its source replaced: as its
// next version, with a clock that jumps, or with a deliberate fault. The source itself
// has no provision for that; the go command takes the replacements from an overlay.
package variant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/proget-go/ha"

// An Edit replaces text of a source file.
type Edit struct {
	File string // path in the module
	Old  string // text that must occur exactly once in the file; "" for a new file
	New  string
}

// Root returns the folder of the module's source. It returns an error if there is none,
// as for a program that was installed or copied.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Build compiles the reference server, with edits, to a file. It applies the edits of
// one source file in their order.
func Build(ctx context.Context, file string, edits ...Edit) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "proget-variant-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := write(root, dir, edits)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", file, module+"/examples/server")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build a variant of the server: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// write writes an overlay file, and the sources that it names, to a folder.
func write(root, dir string, edits []Edit) (overlay string, err error) {
	texts := make(map[string]string)
	for _, e := range edits {
		path := filepath.Join(root, filepath.FromSlash(e.File))
		if e.Old == "" {
			texts[path] = e.New
			continue
		}
		text, edited := texts[path]
		if !edited {
			source, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			text = string(source)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return "", fmt.Errorf("%s has the text to be replaced %d times: %q", e.File, n, e.Old)
		}
		texts[path] = strings.Replace(text, e.Old, e.New, 1)
	}
	replace := make(map[string]string)
	for path, text := range texts {
		copied := filepath.Join(dir, fmt.Sprintf("%d%s", len(replace), filepath.Ext(path)))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
