package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Maven runs mvn and gradle with a feed as the repository "feed", besides the
// repository that Debian's packages install, from which mvn gets its plugins.
type Maven struct {
	Folder string // folder of the projects

	t           testing.TB
	env         []string
	feed        string
	mvn, gradle string // the programs' paths
}

// mavenRepo is the repository of Debian's packages.
const mavenRepo = "/usr/share/maven-repo"

// mavenPlugins are the plugins of mvn that tests need.
var mavenPlugins = []string{"compiler", "dependency", "deploy", "install", "jar", "resources", "surefire"}

// FindMaven finds mvn and its plugins, for the feed at a URL.
func FindMaven(t testing.TB, feed, user, key string) *Maven {
	t.Helper()
	const install = "run make deps"
	m := &Maven{Folder: t.TempDir(), t: t, feed: feed, mvn: Program(t, install, "mvn"), gradle: Program(t, install, "gradle")}
	for _, name := range mavenPlugins {
		Program(t, install, mavenRepo+"/org/apache/maven/plugins/maven-"+name+"-plugin/*/*.jar")
	}
	m.Write("settings.xml", fmt.Sprintf(`<settings>
  <pluginGroups><pluginGroup>com.acme</pluginGroup></pluginGroups>
  <servers><server><id>feed</id><username>%s</username><password>%s</password></server></servers>
  <profiles><profile><id>all</id>
    <repositories>%[3]s</repositories>
    <pluginRepositories>%[4]s</pluginRepositories>
  </profile></profiles>
  <activeProfiles><activeProfile>all</activeProfile></activeProfiles>
</settings>`, user, key, m.repositories("repository"), m.repositories("pluginRepository")))
	m.env = append(os.Environ(), "HOME="+m.Folder, "MAVEN_OPTS=-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	return m
}

func (m *Maven) repositories(element string) string {
	return fmt.Sprintf(`
      <%[1]s><id>central</id><url>file://%[2]s</url><releases><checksumPolicy>ignore</checksumPolicy></releases><snapshots><enabled>false</enabled></snapshots></%[1]s>
      <%[1]s><id>feed</id><url>%[3]s</url><releases><checksumPolicy>fail</checksumPolicy></releases><snapshots><updatePolicy>always</updatePolicy><checksumPolicy>fail</checksumPolicy></snapshots></%[1]s>`,
		element, mavenRepo, m.feed)
}

// Write writes a file into the folder and returns its path.
func (m *Maven) Write(name, text string) string {
	m.t.Helper()
	path := filepath.Join(m.Folder, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return path
}

// Build returns the part of a POM that specifies the versions of plugins.
func (m *Maven) Build() string {
	var b strings.Builder
	for _, name := range mavenPlugins {
		fmt.Fprintf(&b, "<plugin><artifactId>maven-%s-plugin</artifactId><version>%s</version></plugin>", name, m.version(name))
	}
	return "<build><plugins>" + b.String() + "</plugins></build>"
}

// version returns the version of a plugin. Debian also has POMs of other versions that
// lead to it.
func (m *Maven) version(plugin string) string {
	m.t.Helper()
	jars, _ := filepath.Glob(mavenRepo + "/org/apache/maven/plugins/maven-" + plugin + "-plugin/[0-9]*/*.jar")
	if len(jars) == 0 {
		m.t.Fatalf("mvn has no %s plugin", plugin)
	}
	return filepath.Base(filepath.Dir(jars[0]))
}

// Goal returns a goal's full name.
func (m *Maven) Goal(plugin, goal string) string {
	return "org.apache.maven.plugins:maven-" + plugin + "-plugin:" + m.version(plugin) + ":" + goal
}

// Local returns where a local repository stores an artifact's file.
func (m *Maven) Local(repo, path string) string { return filepath.Join(m.Folder, repo, path) }

// Run runs mvn in a project's folder, with a local repository, and returns its
// output. It fails the test if the build fails.
func (m *Maven) Run(project, repo string, args ...string) string {
	m.t.Helper()
	out, err := m.Try(project, repo, args...)
	if err != nil {
		m.t.Fatalf("mvn %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Try is like Run for builds that may fail.
func (m *Maven) Try(project, repo string, args ...string) (string, error) {
	m.t.Helper()
	return m.run(project, m.mvn, append([]string{"-B", "-ntp", "-s", filepath.Join(m.Folder, "settings.xml"),
		"-Dmaven.repo.local=" + filepath.Join(m.Folder, repo)}, args...)...)
}

// Gradle runs gradle in a project's folder, with its own home, and returns its output.
// It fails the test if the build fails.
func (m *Maven) Gradle(project string, args ...string) string {
	m.t.Helper()
	out, err := m.run(project, m.gradle, append([]string{"--no-daemon", "-g", filepath.Join(m.Folder, "gradle")}, args...)...)
	if err != nil {
		m.t.Fatalf("gradle %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (m *Maven) run(project, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = filepath.Join(m.Folder, project), m.env, grace
	out, err := cmd.CombinedOutput()
	return string(out), err
}
