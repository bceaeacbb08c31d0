package words

// Key names one text.
type Key uint16

// The texts. A gap in braces is filled by Text.
const (
	Product Key = iota

	// The warning: a title with the time left, and what happens then.
	WarnLock             // {left}
	WarnLockWhat         //
	WarnDisconnect       // {left}
	WarnDisconnectWhat   //
	WarnSignOut          // {left}
	WarnSignOutWhat      //
	WarnClose            // {left} {clients}
	WarnCloseWhat        // {clients}
	WarnCloseAndLock     // {left}
	WarnCloseAndLockWhat // {clients}
	WarnHow              // how to go on
	Continue             // the button
	SomeClients          // {clients} when their names are not known
	TerminalWarning      // {left}: one line on a text terminal whose session will be ended

	// The tray's first line.
	TimeLeft     // {left}
	TimeUp       //
	NowSecured   //
	NotConnected //

	// The tray's menu.
	LockNow
	Why
	WhyLimit   // {limit}
	WhyWarning // {warning}
	WhyRole    // {role}
	WhyDefault
	WhyLock
	WhyDisconnect
	WhySignOut
	WhyClose        // {clients}
	WhyCloseAndLock // {clients}
	WhySource       // {source}
	WhyUnreadable
	WhyInput
	SourceDevices
	SourceDesktop
	SourceTerminal
	Recorded
	RecordedWhat
	RecordedNever
	RecordsSent
	RecordsWaiting // {n}
	RecordsHere
	About
	AboutVersion // {version}
	AboutWhat

	// Lengths of time.
	Seconds // {n}
	OneSecond
	Minutes // {n}
	OneMinute
	Hours   // {n}
	OneHour // an hour alone
	HoursAndMinutes
	keys
)

// texts holds every text in every language, in the order of Language.
var texts = [keys][languages]string{
	Product: {"Stepaway", "Stepaway"},

	WarnLock: {"This screen locks in {left}", "Esta pantalla se bloquea en {left}"},
	WarnLockWhat: {"Nobody has used it for a while. Nothing will be lost: your programs stay open.",
		"Nadie la ha usado desde hace un rato. No se perderá nada: sus programas siguen abiertos."},
	WarnDisconnect: {"This session disconnects in {left}", "Esta sesión se desconecta en {left}"},
	WarnDisconnectWhat: {"Nobody has used it for a while. Nothing will be lost: sign in again and your programs are as you left them.",
		"Nadie la ha usado desde hace un rato. No se perderá nada: al entrar de nuevo, sus programas estarán como los dejó."},
	WarnSignOut: {"You will be signed out in {left}", "Su sesión se cerrará en {left}"},
	WarnSignOutWhat: {"Nobody has used this computer for a while. All programs will close. Save your work.",
		"Nadie ha usado este equipo desde hace un rato. Se cerrarán todos los programas. Guarde su trabajo."},
	WarnClose: {"Closing {clients} in {left}", "Cierre de {clients} en {left}"},
	WarnCloseWhat: {"Nobody has used this computer for a while. It closes {clients}. Save your work.",
		"Nadie ha usado este equipo desde hace un rato. Se cerrará: {clients}. Guarde su trabajo."},
	WarnCloseAndLock: {"This screen locks in {left}", "Esta pantalla se bloquea en {left}"},
	WarnCloseAndLockWhat: {"Nobody has used it for a while. It closes {clients} and then locks. Save your work.",
		"Nadie la ha usado desde hace un rato. Se cerrará {clients} y después se bloqueará. Guarde su trabajo."},
	WarnHow:     {"To continue, press a key or move the mouse.", "Para continuar, pulse una tecla o mueva el ratón."},
	Continue:    {"Continue", "Continuar"},
	SomeClients: {"the patient record programs", "los programas de historia clínica"},
	TerminalWarning: {"Stepaway: this session ends in {left} because nobody has used it. Press a key to continue.",
		"Stepaway: esta sesión termina en {left} porque nadie la ha usado. Pulse una tecla para continuar."},

	TimeLeft:     {"Time left: {left}", "Tiempo restante: {left}"},
	TimeUp:       {"Time is up: securing this session", "Se acabó el tiempo: protegiendo esta sesión"},
	NowSecured:   {"This session is secured", "Esta sesión está protegida"},
	NotConnected: {"Not connected: this icon cannot show the time left", "Sin conexión: este icono no puede mostrar el tiempo restante"},

	LockNow:       {"Lock now", "Bloquear ahora"},
	Why:           {"Why and when", "Por qué y cuándo"},
	WhyLimit:      {"Limit: {limit} without use", "Límite: {limit} sin uso"},
	WhyWarning:    {"Warning: {warning} before", "Aviso: {warning} antes"},
	WhyRole:       {"Set for your role: {role}", "Fijado para su función: {role}"},
	WhyDefault:    {"Set for everyone on this computer", "Fijado para todos en este equipo"},
	WhyLock:       {"Then: the screen locks, programs stay open", "Después: la pantalla se bloquea, los programas siguen abiertos"},
	WhyDisconnect: {"Then: the session disconnects, programs stay open", "Después: la sesión se desconecta, los programas siguen abiertos"},
	WhySignOut:    {"Then: you are signed out, all programs close", "Después: se cierra su sesión y todos los programas"},
	WhyClose:      {"Then: it closes {clients}; the desktop stays open", "Después: se cierra: {clients}; el escritorio sigue abierto"},
	WhyCloseAndLock: {"Then: it closes {clients} and locks the screen",
		"Después: se cierra: {clients}, y la pantalla se bloquea"},
	WhySource:     {"Use is seen at: {source}", "El uso se ve en: {source}"},
	WhyUnreadable: {"Use cannot be seen here: the limit runs on", "Aquí no se puede ver el uso: el límite sigue corriendo"},
	WhyInput: {"Any key, click or touch starts the limit anew",
		"Cualquier tecla, clic o toque reinicia el límite"},
	SourceDevices:  {"keyboard, mouse and touch", "teclado, ratón y pantalla táctil"},
	SourceDesktop:  {"this desktop", "este escritorio"},
	SourceTerminal: {"this terminal", "este terminal"},

	Recorded:       {"What is recorded", "Qué se registra"},
	RecordedWhat:   {"Who was signed in, when and why it was secured, and the proof", "Quién tenía la sesión, cuándo y por qué se protegió, y la prueba"},
	RecordedNever:  {"Never what you type, see or open", "Nunca lo que usted escribe, ve o abre"},
	RecordsSent:    {"Records reach your site's collector", "Los registros llegan al servidor de su centro"},
	RecordsWaiting: {"Records waiting to be sent: {n}", "Registros pendientes de envío: {n}"},
	RecordsHere:    {"Records stay on this computer", "Los registros se quedan en este equipo"},

	About:        {"About", "Acerca de"},
	AboutVersion: {"Stepaway {version}", "Stepaway {version}"},
	AboutWhat:    {"Secures this computer when you step away", "Protege este equipo cuando usted se aleja"},

	Seconds:         {"{n} seconds", "{n} segundos"},
	OneSecond:       {"1 second", "1 segundo"},
	Minutes:         {"{n} minutes", "{n} minutos"},
	OneMinute:       {"1 minute", "1 minuto"},
	Hours:           {"{n} hours", "{n} horas"},
	OneHour:         {"1 hour", "1 hora"},
	HoursAndMinutes: {"{h} h {m} min", "{h} h {m} min"},
}
