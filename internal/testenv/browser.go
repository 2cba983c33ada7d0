package testenv

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Browser is a tab of a real Chromium.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// StartBrowser starts a Chromium with an empty profile and stops it when the test ends.
func StartBrowser(t testing.TB) *Browser {
	t.Helper()
	path := Program(t, "install Chromium (Debian: apt-get install chromium)", "chromium", "google-chrome", "/usr/bin/chromium")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	ctx, closeTab := chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...))
	t.Cleanup(func() {
		closeTab()
		cancel()
	})
	return &Browser{t, ctx}
}

// Do takes steps, and fails the test if one fails.
func (b *Browser) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Picture("failed")
		b.t.Fatalf("browser: %v", err)
	}
}

// Follow takes steps that lead to another page, waits for that page and returns its
// HTTP status.
func (b *Browser) Follow(steps ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	resp, err := chromedp.RunResponse(b.ctx, steps...)
	if err != nil {
		b.Picture("failed")
		b.t.Fatalf("browser: %v", err)
	}
	return int(resp.Status)
}

// Text returns the visible text of an element.
func (b *Browser) Text(css chromedp.CSS) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(css))
	if err != nil {
		b.t.Fatalf("browser: text of %s: %v", css, err)
	}
	return text
}

// Evaluate evaluates a JavaScript expression and returns its value.
func Evaluate[T any](b *Browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("browser: %s: %v", expression, err)
	}
	return v
}

// Picture writes a picture of the whole page to the folder that PROGET_TEST_PICTURES
// names, for a person to look at. It does nothing if the variable is not set.
func (b *Browser) Picture(name string) {
	dir := os.Getenv("PROGET_TEST_PICTURES")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), image, 0o600)
	}
	if err != nil {
		b.t.Logf("picture %s: %v", name, err)
	}
}
