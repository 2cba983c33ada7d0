package proget

// A Task is something a principal may be allowed to do, in the words of
// ProGet's permission page.
type Task string

// The built-in tasks. Each includes the ones before it.
const (
	TaskNone       Task = ""           // what anybody may do, such as sign in
	TaskView       Task = "view"       // view and download packages
	TaskPublish    Task = "publish"    // add packages
	TaskManage     Task = "manage"     // unlist, delete, change a feed
	TaskAdminister Task = "administer" // everything, everywhere
)

// Rank orders the tasks; a greater rank includes a smaller one. It is 0 for a
// task that is not known.
func (t Task) Rank() int {
	switch t {
	case TaskView:
		return 1
	case TaskPublish:
		return 2
	case TaskManage:
		return 3
	case TaskAdminister:
		return 4
	}
	return 0
}

// A Principal is who makes a request. The zero value is the anonymous one.
type Principal struct {
	User string // the user's name; "" if anonymous or a key without a user
	Key  string // the API key's display name; "" if none was used
}

// Anonymous reports whether nobody has been authenticated.
func (p Principal) Anonymous() bool { return p.User == "" && p.Key == "" }

// String returns the name that logs and audit entries show.
func (p Principal) String() string {
	switch {
	case p.User != "":
		return p.User
	case p.Key != "":
		return "API key " + p.Key
	}
	return "Anonymous"
}
