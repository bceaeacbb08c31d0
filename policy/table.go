package policy

import "time"

// Bounds of durations.
const (
	MinLimit = 5 * time.Second
	MaxLimit = 24 * time.Hour

	maxStage = 7 * 24 * time.Hour
	maxGrace = 10 * time.Minute
	maxBusy  = 10 * time.Minute
)

const maxName = 64 // bytes

// actions from the weakest to the strictest.
var (
	actions = []string{string(CloseClients), string(Lock), string(CloseClientsAndLock), string(Disconnect), string(SignOut)}

	actionMeanings = []Said{
		{"EHR clients are closed, the desktop stays open", "se cierran los clientes, el escritorio sigue abierto"},
		{"the desktop is locked", "se bloquea el escritorio"},
		{"EHR clients are closed and the desktop is locked", "se cierran los clientes y se bloquea el escritorio"},
		{"the session goes on behind the greeter", "la sesión sigue tras la pantalla de inicio"},
		{"the session is ended", "se termina la sesión"},
	}
)

// leastProofs are the proofs that a policy may ask for, from the weakest to the strictest.
var (
	leastProofs = []string{string(ProofClaim), string(ProofLocker), string(ProofGreeter)}

	proofMeanings = []Said{
		{"the desktop's own word that it is locked", "la propia palabra del escritorio"},
		{"a locker that only an administrator can have installed holds the screen", "un bloqueador que solo un administrador puede haber instalado ocupa la pantalla"},
		{"a greeter is on the screen and the session is behind it", "la pantalla de inicio está delante de la sesión"},
	}
)

// atDeadline from the weakest to the strictest.
var (
	atDeadline = []string{string(Leave), string(Close), string(End)}

	atDeadlineMeanings = []Said{
		{"left alone", "se deja"},
		{"asked to close, ended after the grace", "se le pide cerrar y se termina tras la espera"},
		{"ended at once", "se termina ya"},
	}
)

// Sections is every section in which settings stand.
var Sections = []Section{
	{"stages", Said{"Later stages", "Etapas posteriores"}},
	{"lock", Said{"Lock", "Bloqueo"}},
	{"collector", Said{"Collector", "Recolector"}},
	{"approval", Said{"Approval of changes", "Aprobación de cambios"}},
}

// Definitions is every setting, in the order in which it is documented.
var Definitions = []Definition{
	number(Definition{Key: "version", Since: "0.1", Most: 1<<31 - 1, Weaker: Neither, Default: "0", Example: "12",
		Title: Said{"Version of the policy", "Versión de la directiva"},
		Help: Said{"Rises with every change that the site makes. A policy with a lower version than the highest that this computer has had is refused.",
			"Aumenta con cada cambio del centro. Se rechaza una directiva con una versión inferior a la más alta que este equipo ha tenido."}},
		func(p *Policy) *int { return &p.Version }),
	duration(Definition{Key: "limit", Since: "0.1", Min: MinLimit, Max: MaxLimit, Weaker: Longer, Default: "15m",
		Title: Said{"Inactivity limit", "Límite de inactividad"},
		Help:  Said{"A session without input for this long is secured.", "Una sesión sin actividad durante este tiempo se protege."}},
		func(p *Policy) *time.Duration { return &p.Limit }),
	duration(Definition{Key: "warning", Since: "0.1", Min: 0, Max: time.Hour, Weaker: Neither, Default: "5m",
		Title: Said{"Warning before the limit", "Aviso antes del límite"},
		Help: Said{"The user is warned this long before the deadline. At most half of the limit is used.",
			"Se avisa al usuario con esta antelación. Se usa como máximo la mitad del límite."}},
		func(p *Policy) *time.Duration { return &p.Warning }),
	word(Definition{Key: "action", Since: "0.1", Words: actions, Meanings: actionMeanings, Weaker: Earlier, Default: "lock",
		Title: Said{"Action at the deadline", "Acción al cumplirse el plazo"},
		Help: Said{"What is done to a desktop at the deadline. Terminal and ssh sessions are ended.",
			"Lo que se hace con un escritorio al cumplirse el plazo. Las sesiones de terminal y ssh se terminan."}},
		func(p *Policy) *Action { return &p.Action }),
	duration(Definition{Key: "stages.close_clients_after", Since: "0.1", Min: time.Second, Max: MaxLimit, OrZero: true, Weaker: Longer, Default: "0s", Example: "10m",
		Title: Said{"Close clients after", "Cerrar los clientes tras"},
		Help: Said{"EHR clients are closed when a session has been secured this long. 0s: never.",
			"Los clientes de historia clínica se cierran cuando la sesión lleva protegida este tiempo. 0s: nunca."}},
		func(p *Policy) *time.Duration { return &p.Stages.CloseClientsAfter }),
	duration(Definition{Key: "stages.sign_out_after", Since: "0.1", Min: time.Second, Max: maxStage, OrZero: true, Weaker: Longer, Default: "0s", Example: "60m",
		Title: Said{"Sign out after", "Cerrar la sesión tras"},
		Help: Said{"A session that has been secured this long is ended. 0s: never.",
			"Una sesión que lleva protegida este tiempo se termina. 0s: nunca."}},
		func(p *Policy) *time.Duration { return &p.Stages.SignOutAfter }),
	word(Definition{Key: "lock.proof", Since: "0.1", Words: leastProofs, Meanings: proofMeanings, Weaker: Earlier, Default: "locker",
		Title: Said{"Least proof of a lock", "Prueba mínima de un bloqueo"},
		Help: Said{"A lock counts only when it is proved this well. Otherwise the next rung of the ladder is tried.",
			"Un bloqueo solo cuenta si se prueba así de bien. Si no, se intenta el siguiente paso."}},
		func(p *Policy) *Proof { return &p.Lock.Proof }),
	texts(Definition{Key: "lock.fallback", Since: "0.1", Weaker: Replaced, Default: "[]", Example: "[/usr/bin/i3lock, -n]",
		Title: Said{"Fallback locker", "Bloqueador de reserva"},
		Help: Said{"Command of a locker that is started when the desktop's own does not lock. Absolute path first.",
			"Orden de un bloqueador que se inicia cuando el del escritorio no bloquea. Primero la ruta absoluta."}},
		func(p *Policy) *[]string { return &p.Lock.Fallback }, command),
	toggle(Definition{Key: "lock.terminate", Since: "0.1", Weaker: Earlier, Default: "false",
		Title: Said{"End the session when nothing locks", "Terminar la sesión si nada bloquea"},
		Help: Said{"Whether a session that no locker secures is ended as the last resort. Unsaved work is lost.",
			"Si una sesión que nada bloquea se termina como último recurso. Se pierde el trabajo no guardado."}},
		func(p *Policy) *bool { return &p.Lock.Terminate }),
	entries(Definition{Key: "clients", Since: "0.1", Weaker: Inside, Default: "[]", Fields: clientFields,
		Example: "[{name: Example EHR, paths: [/opt/example-ehr/bin/client], at_deadline: close, grace: 30s}]",
		Title:   Said{"EHR clients", "Clientes de historia clínica"},
		Help: Said{"Programs to close at the deadline or at a later stage. A program that several entries match is treated by each of them.",
			"Programas que se cierran al cumplirse el plazo o en una etapa posterior. Un programa que coincide con varias entradas se trata según cada una."}},
		func(p *Policy) *[]Client { return &p.Clients }, func(c *Client) bool { return c.AtDeadline == Leave }),
	text(Definition{Key: "class", Since: "0.1", Longest: maxName, Pattern: namePattern, Weaker: Outcome, Default: "", Example: "ward",
		Title: Said{"Class of this workstation", "Clase de este puesto"},
		Help: Said{"Name of one of the classes: what this class sets holds here in place of the settings for all, and no role exceeds it.",
			"Nombre de una de las clases: lo que fija esa clase rige aquí en lugar de lo general, y ningún rol lo supera."}},
		func(p *Policy) *string { return &p.Class }, nameOK),
	entries(Definition{Key: "classes", Since: "0.1", Weaker: Outcome, Default: "[]", Fields: append([]Definition{nameOf(func(c *Class) *string { return &c.Name })}, terms(func(c *Class) *Terms { return &c.Terms })...),
		Example: "[{name: ward, limit: 10m}, {name: kiosk, limit: 2m, action: close-clients}, {name: theatre, limit: 1h}, {name: office, limit: 15m}]",
		Title:   Said{"Classes of workstations", "Clases de puestos"},
		Help: Said{"Terms for kinds of workstations, such as ward, office, kiosk and theatre. A class counts where class names it.",
			"Condiciones por tipo de puesto, como planta, oficina, quiosco y quirófano. Una clase cuenta donde class la nombra."}},
		func(p *Policy) *[]Class { return &p.Classes }, nil),
	entries(Definition{Key: "roles", Since: "0.1", Weaker: Outcome, Default: "[]", Fields: roleFields,
		Example: "[{name: clinical, groups: [clinicians], limit: 30m}]",
		Title:   Said{"Roles", "Roles"},
		Help: Said{"Groups of users with terms of their own. Of several roles the strictest value counts, one by one; a role that leaves a value out stands for the general one.",
			"Grupos de usuarios con condiciones propias. De varios roles cuenta el valor más estricto, uno a uno; un rol que omite un valor vale como el general."}},
		func(p *Policy) *[]Role { return &p.Roles }, nil),
	text(Definition{Key: "collector.url", Since: "0.1", Pattern: urlPattern, Weaker: Replaced, Default: "", Example: "https://collector.clinic.example:8443",
		Title: Said{"Collector", "Recolector"},
		Help:  Said{"Where events are delivered, an https address.", "Adónde se entregan los eventos, una dirección https."}},
		func(p *Policy) *string { return &p.Collector.URL }, httpsURL),
	text(Definition{Key: "collector.ca", Since: "0.1", Pattern: pathPattern, Weaker: Change, Default: "", Example: "/etc/stepaway/collector-ca.pem",
		Title: Said{"Collector's CA", "CA del recolector"},
		Help: Said{"File with the certificate authority of the collector. Empty: the one received at enrolment.",
			"Archivo con la autoridad de certificación del recolector. Vacío: la recibida en el alta."}},
		func(p *Policy) *string { return &p.Collector.CA }, absolutePath),
	text(Definition{Key: "collector.proxy", Since: "0.1", Pattern: proxyPattern, Weaker: Replaced, Default: "", Example: "http://proxy.clinic.example:3128",
		Title: Said{"Proxy to the collector", "Proxy hacia el recolector"},
		Help: Said{"Proxy that the collector is reached through, by CONNECT: it sees the collector's name and no event. Empty: none; those of the environment are never used.",
			"Proxy por el que se llega al recolector, con CONNECT: ve el nombre del recolector y ningún evento. Vacío: ninguno; los del entorno no se usan nunca."}},
		func(p *Policy) *string { return &p.Collector.Proxy }, proxyURL),
	toggle(Definition{Key: "approval.required", Since: "0.1", Weaker: Earlier, Default: "false",
		Title: Said{"Second signature for a weaker policy", "Segunda firma para una directiva más débil"},
		Help: Said{"Whether a policy that is weaker than the one in force waits for the approval of a second person. Otherwise it is applied with an alert.",
			"Si una directiva más débil que la vigente espera la aprobación de una segunda persona. Si no, se aplica con una alerta."}},
		func(p *Policy) *bool { return &p.Approval.Required }),
	text(Definition{Key: "approval.allowed_signers", Since: "0.1", Pattern: pathPattern, Weaker: Replaced, Default: "", Example: "/etc/stepaway/allowed_signers",
		Title: Said{"Allowed signers", "Firmantes permitidos"},
		Help: Said{"File with the keys that may sign and approve, in the format of ssh-keygen. Needed where approval is required.",
			"Archivo con las claves que pueden firmar y aprobar, en el formato de ssh-keygen. Necesario donde se exige aprobación."}},
		func(p *Policy) *string { return &p.Approval.AllowedSigners }, absolutePath),
	text(Definition{Key: "approval.group", Since: "0.1", Longest: maxName, Pattern: namePattern, Weaker: Replaced, Default: "", Example: "ward-3",
		Title: Said{"Device group", "Grupo de equipos"},
		Help: Said{"An approval is good for the computers of one group. It names the group that is in force here.",
			"Una aprobación vale para los equipos de un grupo. Nombra el grupo vigente aquí."}},
		func(p *Policy) *string { return &p.Approval.Group }, nameOK),
}

var clientFields = []Definition{
	nameOf(func(c *Client) *string { return &c.Name }),
	texts(Definition{Key: "paths", Since: "0.1", Pattern: pathPattern, Weaker: Fewer, Required: true, Example: `[/opt/example-ehr/bin/client]`,
		Title: Said{"Executables", "Ejecutables"},
		Help: Said{"Absolute paths of its executables. * and ? stand for any characters within one name.",
			"Rutas absolutas de sus ejecutables. * y ? valen por cualquier carácter dentro de un nombre."}},
		func(c *Client) *[]string { return &c.Paths }, func(_ int, s string) error { return absolutePath(s) }),
	text(Definition{Key: "publisher", Since: "0.1", Longest: 256, Weaker: Change, Example: "Example Health Inc.",
		Title: Said{"Publisher", "Editor"},
		Help: Said{"Only executables signed by this name count. Windows only; elsewhere a client with a publisher is matched by its paths.",
			"Solo cuentan los ejecutables firmados por este nombre. Solo en Windows; en otros sistemas se usa la ruta."}},
		func(c *Client) *string { return &c.Publisher }, func(string) error { return nil }),
	word(Definition{Key: "at_deadline", Since: "0.1", Words: atDeadline, Meanings: atDeadlineMeanings, Weaker: Earlier, Default: "close",
		Title: Said{"At the deadline", "Al cumplirse el plazo"},
		Help:  Said{"What is done to this client when the deadline closes clients.", "Lo que se hace con este cliente cuando el plazo cierra los clientes."}},
		func(c *Client) *AtDeadline { return &c.AtDeadline }),
	duration(Definition{Key: "grace", Since: "0.1", Min: 0, Max: maxGrace, OrZero: true, Weaker: Longer, Default: "30s",
		Title: Said{"Grace", "Espera"},
		Help:  Said{"Time between asking a client to close and ending it.", "Tiempo entre pedir el cierre y terminarlo."}},
		func(c *Client) *time.Duration { return &c.Grace }),
	text(Definition{Key: "busy_file", Since: "0.1", Pattern: pathPattern, Weaker: Change, Example: "/run/example-ehr/busy",
		Title: Said{"Busy file", "Archivo de ocupado"},
		Help: Said{"While this file exists and only an administrator can have written it, closing the client waits, at most busy_most. The lock does not wait.",
			"Mientras exista este archivo, que solo un administrador puede escribir, el cierre del cliente espera, como máximo busy_most. El bloqueo no espera."}},
		func(c *Client) *string { return &c.BusyFile }, absolutePath),
	duration(Definition{Key: "busy_most", Since: "0.1", Min: 0, Max: maxBusy, OrZero: true, Weaker: Longer, Default: "2m",
		Title: Said{"Longest wait while busy", "Espera máxima si está ocupado"},
		Help:  Said{"A busy client is closed after this all the same.", "Un cliente ocupado se cierra igualmente después de este tiempo."}},
		func(c *Client) *time.Duration { return &c.BusyMost }),
	texts(Definition{Key: "caches", Since: "0.1", Pattern: homePattern, Weaker: Fewer, Example: "[.cache/example-ehr]",
		Title: Said{"Caches to clear", "Cachés que se borran"},
		Help: Said{"Directories below the user's home whose content is deleted after the client was closed. Links are never followed.",
			"Directorios bajo la carpeta del usuario cuyo contenido se borra tras cerrar el cliente. Nunca se siguen enlaces."}},
		func(c *Client) *[]string { return &c.Caches }, func(_ int, s string) error { return belowHome(s) }),
	toggle(Definition{Key: "clear_clipboard", Since: "0.1", Weaker: Earlier, Default: "false",
		Title: Said{"Clear the clipboard", "Vaciar el portapapeles"},
		Help: Said{"Whether the clipboard is emptied after the client was closed.",
			"Si se vacía el portapapeles tras cerrar el cliente."}},
		func(c *Client) *bool { return &c.ClearClipboard }),
}

var roleFields = append([]Definition{
	nameOf(func(r *Role) *string { return &r.Name }),
	texts(Definition{Key: "groups", Since: "0.1", Weaker: Outcome, Required: true, Example: "[clinicians]",
		Title: Said{"Groups", "Grupos"},
		Help:  Said{"Names of groups of the system or the directory. A user in one of them has the role.", "Nombres de grupos del sistema o del directorio. Quien esté en uno tiene el rol."}},
		func(r *Role) *[]string { return &r.Groups }, func(int, string) error { return nil })},
	terms(func(r *Role) *Terms { return &r.Terms })...)

// terms are the fields of what a role or a class may set of its own.
func terms[T any](at func(*T) *Terms) []Definition {
	return []Definition{
		duration(Definition{Key: "limit", Since: "0.1", Min: MinLimit, Max: MaxLimit, Weaker: Outcome, Example: "30m",
			Title: Said{"Inactivity limit", "Límite de inactividad"},
			Help:  Said{"In place of the general limit.", "En lugar del límite general."}},
			func(t *T) *time.Duration { return &at(t).Limit }),
		word(Definition{Key: "action", Since: "0.1", Words: actions, Weaker: Outcome, Example: "lock",
			Title: Said{"Action at the deadline", "Acción al cumplirse el plazo"},
			Help:  Said{"In place of the general action.", "En lugar de la acción general."}},
			func(t *T) *Action { return &at(t).Action }),
		duration(Definition{Key: "close_clients_after", Since: "0.1", Min: time.Second, Max: MaxLimit, Weaker: Outcome, Example: "10m",
			Title: Said{"Close clients after", "Cerrar los clientes tras"},
			Help:  Said{"In place of stages.close_clients_after.", "En lugar de stages.close_clients_after."}},
			func(t *T) *time.Duration { return &at(t).CloseClientsAfter }),
		duration(Definition{Key: "sign_out_after", Since: "0.1", Min: time.Second, Max: maxStage, Weaker: Outcome, Example: "60m",
			Title: Said{"Sign out after", "Cerrar la sesión tras"},
			Help:  Said{"In place of stages.sign_out_after.", "En lugar de stages.sign_out_after."}},
			func(t *T) *time.Duration { return &at(t).SignOutAfter }),
	}
}

// nameOf is the field by which an entry is known.
func nameOf[T any](at func(*T) *string) Definition {
	return text(Definition{Key: "name", Since: "0.1", Longest: maxName, Pattern: namePattern, Weaker: Neither, Required: true,
		Title: Said{"Name", "Nombre"},
		Help: Said{"At most 64 letters, digits, spaces and ._-@/:+, each name once. It stands in the records.",
			"Como máximo 64 letras, cifras, espacios y ._-@/:+, cada nombre una vez. Figura en los registros."}},
		at, nameOK)
}

// Default is the strict policy that rules where nothing else does.
func Default() Policy {
	var p Policy
	setDefaults(Definitions, &p)
	return p
}
