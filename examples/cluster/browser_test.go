package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// link finds what a person would click by the words on it.
func link(text string) chromedp.Search {
	return chromedp.Search(fmt.Sprintf(`//main//*[self::a or self::button][normalize-space()=%q]`, text))
}

// TestUploadInBrowser: what a person uploads on a feed's page is there, and what is
// wrong with a file is told on the page, with JavaScript or without.
func TestUploadInBrowser(t *testing.T) {
	b := testenv.StartBrowser(t)
	c := start(t)
	file := filepath.Join(t.TempDir(), "package.nupkg")
	choose := func(version string) chromedp.Action[chromedp.Void] {
		require.NoError(t, os.WriteFile(file, testenv.Nupkg(t, "Acme.Lib", version), 0o600))
		return chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file})
	}
	b.Follow(chromedp.Navigate(c.LoadBalancer.URL + "/feeds/nuget/upload"))
	b.Do(chromedp.SendKeys(chromedp.CSS("#user"), "Admin"), chromedp.SendKeys(chromedp.CSS("#password"), c.AdminPassword))
	b.Follow(chromedp.Click(link("Sign in")))
	require.Contains(t, b.Text("main h1"), "Upload to nuget")
	b.Do(choose("1.0.0"))
	b.Picture("upload")
	b.Follow(chromedp.Click(link("Upload")))
	require.Contains(t, b.Text("main h1"), "Acme.Lib 1.0.0")

	b.Follow(chromedp.Navigate(c.LoadBalancer.URL + "/feeds/nuget/upload"))
	b.Do(choose("1.0.0"), chromedp.Click(link("Upload")), chromedp.WaitVisible(chromedp.CSS(".note.bad")))
	require.Contains(t, b.Text(".note.bad"), "Acme.Lib 1.0.0 already exists in feed nuget")
	b.Picture("upload-refused")
	b.Do(choose("1.1.0"))
	b.Follow(chromedp.Evaluate[chromedp.Void](`document.querySelector("form[data-progress]").submit()`)) // as if there were no script
	require.Contains(t, b.Text("main h1"), "Acme.Lib 1.1.0")
}

// TestClusterInBrowser clicks through the administration in a real browser,
// every request through the load balancer and so to another node.
func TestClusterInBrowser(t *testing.T) {
	b := testenv.StartBrowser(t)
	c := start(t)
	for n := range 3 {
		status, err := push(t.Context(), http.DefaultClient, c.LoadBalancer.URL, c.APIKey, testenv.Nupkg(t, "Acme.Lib", fmt.Sprintf("1.%d.0", n)))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, status)
	}

	b.Do(chromedp.Navigate(c.LoadBalancer.URL+"/"), chromedp.WaitVisible(link("nuget")))
	b.Picture("feeds")
	b.Follow(chromedp.Click(link("nuget")))
	b.Picture("feed")
	b.Follow(chromedp.Click(link("Acme.Lib")))
	require.Contains(t, b.Text("main"), "dotnet add package Acme.Lib")
	b.Picture("package")

	require.Equal(t, http.StatusOK, b.Follow(chromedp.Navigate(c.LoadBalancer.URL+"/administration")))
	b.Picture("sign-in")
	b.Do(chromedp.SendKeys(chromedp.CSS("#user"), "Admin"), chromedp.SendKeys(chromedp.CSS("#password"), c.AdminPassword))
	b.Follow(chromedp.Click(link("Sign in")))
	require.Contains(t, b.Text("main"), "Service Status")
	b.Picture("administration-before")

	b.Follow(chromedp.Click(link("Configure Load Balancing")))
	b.Picture("load-balancing")
	b.Follow(chromedp.Click(link("Enable Load Balancing")))
	b.Follow(chromedp.Click(link("Configure High Availability Mode")))
	b.Picture("high-availability")
	b.Follow(chromedp.Click(link("Enable High Availability Mode")))
	require.Contains(t, b.Text("main"), "Indexing Cluster Health")
	require.NotContains(t, b.Text("main"), "Service Status")
	b.Picture("administration-after")

	b.Follow(chromedp.Click(link("More Info")))
	require.Contains(t, b.Text("main h1"), "Indexing Cluster Status")
	for _, n := range c.Nodes {
		require.Contains(t, b.Text("table"), n.Name)
	}
	require.Zero(t, testenv.Evaluate[int](b, `document.querySelectorAll("button.remove").length`), "nobody is gone")
	b.Picture("cluster")

	// The page refreshes itself: the killed server turns stale before the eyes.
	gone := c.role("index")[0]
	kill(t, gone)
	remove := chromedp.CSS(fmt.Sprintf(`button[aria-label="Remove %s"]`, gone.Name))
	b.Do(chromedp.WaitVisible(remove))
	b.Follow(chromedp.Click(link("Pause")))
	b.Picture("cluster-stale")
	require.Contains(t, b.Text("tr.stale"), gone.Name)
	b.Follow(chromedp.Click(remove))
	require.NotContains(t, b.Text("table"), gone.Name)
	require.Contains(t, b.Text("table"), "primary", "the other one leads")

	b.Do(chromedp.EmulateViewport(390, 844))
	require.Equal(t, 390, testenv.Evaluate[int](b, `document.documentElement.scrollWidth`), "a telephone need not scroll sideways")
	b.Picture("cluster-small")
	b.Follow(chromedp.Navigate(c.LoadBalancer.URL + "/feeds/nuget"))
	b.Picture("feed-small")
}
