// Strings: the page in the browser's language. English texts are their own keys; German ones are looked up.

const GERMAN = {
  "See who is speaking": "Sehen, wer spricht",
  "Lips are compared with the sound, live. Whoever is heard is marked, even when everybody moves.":
    "Lippen und Ton werden live verglichen. Markiert wird, wer zu hören ist, auch wenn sich alle bewegen.",
  "Token of this server": "Token dieses Servers",
  Continue: "Weiter",
  "Camera and microphone": "Kamera und Mikrofon",
  "People in this room, in front of one camera.": "Menschen in diesem Raum, vor einer Kamera.",
  "A meeting": "Ein Meeting",
  "Share a tab or a window with its sound.": "Einen Tab oder ein Fenster mit seinem Ton teilen.",
  "Choose and try camera and microphone": "Kamera und Mikrofon wählen und prüfen",
  Camera: "Kamera",
  Microphone: "Mikrofon",
  Resolution: "Auflösung",
  "Mirror the picture": "Bild spiegeln",
  "Microphone level": "Pegel des Mikrofons",
  "Your camera": "Ihre Kamera",
  "Camera {0}": "Kamera {0}",
  "Microphone {0}": "Mikrofon {0}",
  "Picture and sound go to this server alone, {0}, and no further. Nothing is stored: both are dropped once they are scored, names and timeline when you leave.":
    "Bild und Ton gehen nur an diesen Server, {0}, und nicht weiter. Nichts wird gespeichert: Beides wird nach der Auswertung verworfen, Namen und Zeitleiste beim Verlassen.",
  "Faces are compared to tell people apart. That is forgotten with the session.":
    "Gesichter werden verglichen, um Menschen auseinanderzuhalten. Das endet mit der Sitzung.",
  "Recognition is on: people enrolled on this server are named by face and voice.":
    "Erkennung ist an: Auf diesem Server hinterlegte Menschen werden an Gesicht und Stimme erkannt und benannt.",
  Help: "Hilfe",
  Stop: "Beenden",
  Session: "Sitzung",
  "The picture": "Das Bild",
  "Try now": "Jetzt versuchen",
  Timeline: "Zeitleiste",
  Zoom: "Zoom",
  "Show more time": "Mehr Zeit zeigen",
  "Show less time": "Weniger Zeit zeigen",
  "Time shown": "Gezeigte Zeit",
  Export: "Export",
  "Export the last session": "Letzte Sitzung exportieren",
  "Speaking now": "Wer gerade spricht",
  Hold: "Halten",
  Held: "Gehalten",
  People: "Personen",
  "Nobody has been seen yet.": "Noch niemand zu sehen.",
  "Talk statistics": "Redestatistik",
  Time: "Zeit",
  Turns: "Beiträge",
  Longest: "Längster",
  Interrupts: "Fällt ins Wort",
  Room: "Raum",
  Sound: "Ton",
  "Picture shown after": "Bild gezeigt nach",
  Server: "Server",
  "Marks and sound": "Markierungen und Ton",
  "Sound is late by, in ms (empty: estimated)": "Ton kommt später um, in ms (leer: geschätzt)",
  "Find it": "Messen",
  Cancel: "Abbrechen",
  "Look into the camera and count aloud to twenty. A tone says when it is done.":
    "Blicken Sie in die Kamera und zählen Sie laut bis zwanzig. Ein Ton meldet das Ende.",
  "Found and set: {0}, {1} % sure.": "Gefunden und eingestellt: {0}, zu {1} % sicher.",
  "Nothing was found: nobody in view spoke clearly, or sound and picture are more than 600 ms apart.":
    "Nichts gefunden: Niemand im Bild sprach deutlich, oder Ton und Bild liegen mehr als 600 ms auseinander.",
  "{0}, out of view": "{0}, nicht im Bild",
  "Voice {0}": "Stimme {0}",
  "Least probability of a mark:": "Mindestwahrscheinlichkeit einer Markierung:",
  "as scored": "wie bewertet",
  "Show ignored places again": "Ausgeblendete Stellen wieder zeigen",
  "Forget who is who": "Personen vergessen",
  "For OBS and other programs": "Für OBS und andere Programme",
  "Overlay, a browser source": "Overlay, eine Browserquelle",
  "Events, a WebSocket": "Ereignisse, ein WebSocket",
  Copy: "Kopieren",
  Copied: "Kopiert",
  "Copy the overlay’s address": "Adresse des Overlays kopieren",
  "Copy the events’ address": "Adresse der Ereignisse kopieren",
  "Nothing is stored.": "Nichts wird gespeichert.",
  "Full screen": "Vollbild",
  "Small window": "Kleines Fenster",
  Name: "Name",
  Pin: "Anheften",
  "Never show": "Nie zeigen",
  "Ignore this place": "Diese Stelle ausblenden",
  Close: "Schließen",
  Keys: "Tasten",
  "Keys are on": "Tasten sind an",
  "pick a person in the picture; Enter opens the choices": "Person im Bild wählen; Enter öffnet die Auswahl",
  "pin the picked person or the speaker, or let go": "gewählte oder sprechende Person anheften oder lösen",
  "never show the picked person or the speaker, or allow again": "gewählte oder sprechende Person nie zeigen oder wieder erlauben",
  "hold the speaker, or release": "sprechende Person halten oder freigeben",
  "mark when surer, less sure": "sicherer, weniger sicher markieren",
  "forget who is who": "Personen vergessen",
  "hide the marks, or show them": "Markierungen aus- oder einblenden",
  "full screen": "Vollbild",
  "this sheet": "diese Übersicht",
  Space: "Leertaste",
  "A click or a tap on a person opens the same choices.": "Ein Klick oder Tippen auf eine Person öffnet dieselbe Auswahl.",
  "Speaking time": "Redezeit",
  "Person {0}": "Person {0}",
  "Name of person {0}": "Name von Person {0}",
  "Pin {0}": "{0} anheften",
  "Never show {0}": "{0} nie zeigen",
  "Pinned: stands out whoever speaks": "Angeheftet: hervorgehoben, wer auch spricht",
  "Pin: let this person stand out": "Anheften: diese Person hervorheben",
  "Never shown as the speaker": "Wird nie als sprechend gezeigt",
  "Never show as the speaker": "Nie als sprechend zeigen",
  pinned: "angeheftet",
  "never shown": "nie gezeigt",
  Connecting: "Verbinden",
  Live: "Live",
  "Not connected": "Nicht verbunden",
  "trying again": "neuer Versuch",
  "trying again in {0} s": "neuer Versuch in {0} s",
  "That token is not the right one.": "Dieses Token ist nicht das richtige.",
  "Video ended: the camera was unplugged or sharing was stopped.": "Das Bild ist zu Ende: Kamera getrennt oder Teilen beendet.",
  "Audio ended: the microphone was unplugged or sharing was stopped.": "Der Ton ist zu Ende: Mikrofon getrennt oder Teilen beendet.",
  "The microphone is silent: is it muted or unplugged?": "Das Mikrofon ist still: stummgeschaltet oder nicht eingesteckt?",
  "The camera is black: is it covered?": "Die Kamera ist schwarz: abgedeckt?",
  "The connection was lost": "Die Verbindung ist abgebrochen",
  "The server does not answer": "Der Server antwortet nicht",
  "This server asks for a token.": "Dieser Server verlangt ein Token.",
  "The server is full": "Der Server ist voll",
  "Too many tries": "Zu viele Versuche",
  "The server refused ({0}).": "Der Server hat abgelehnt ({0}).",
  "What you shared has no audio. Share a browser tab and switch on “Also share tab audio”, or the entire screen with its system audio.":
    "Was Sie teilen, hat keinen Ton. Teilen Sie einen Browsertab mit „Auch Tab-Audio teilen“ oder den ganzen Bildschirm mit Systemton.",
  "This browser cannot share that. Use a current Chromium or Firefox on a computer.":
    "Dieser Browser kann das nicht teilen. Nehmen Sie ein aktuelles Chromium oder Firefox auf einem Rechner.",
  "Browsers give camera and microphone only to pages on HTTPS or on this machine. Open this page by https://… or at localhost.":
    "Browser geben Kamera und Mikrofon nur Seiten über HTTPS oder auf diesem Rechner. Öffnen Sie die Seite mit https://… oder unter localhost.",
  "Camera and microphone are not allowed. Allow both for this page (the icon beside the address), then try again.":
    "Kamera und Mikrofon sind nicht erlaubt. Erlauben Sie beides für diese Seite (Symbol neben der Adresse) und versuchen Sie es erneut.",
  "No camera or no microphone was found. Plug both in, then try again.":
    "Keine Kamera oder kein Mikrofon gefunden. Schließen Sie beides an und versuchen Sie es erneut.",
  "The camera or the microphone is in use by another program. Close that, then try again.":
    "Kamera oder Mikrofon wird von einem anderen Programm benutzt. Schließen Sie es und versuchen Sie es erneut.",
  "The camera could not be opened ({0}).": "Die Kamera ließ sich nicht öffnen ({0}).",
  "Nothing was shared. Choose the meeting’s tab in the list, then press Share.":
    "Es wurde nichts geteilt. Wählen Sie den Tab des Meetings in der Liste, dann „Teilen“.",
  "The system does not let this browser record that. Allow screen recording for it, or share a tab.":
    "Das System erlaubt diesem Browser die Aufnahme nicht. Erlauben Sie ihm Bildschirmaufnahmen, oder teilen Sie einen Tab.",
  "The meeting could not be shared ({0}).": "Das Meeting ließ sich nicht teilen ({0}).",
  "keeps up": "kommt mit",
  "busy, scores 1 of 2": "ausgelastet, wertet 1 von 2",
  "busy, scores 1 of 4": "ausgelastet, wertet 1 von 4",
  "very busy": "stark ausgelastet",
  overloaded: "überlastet",
  Waiting: "Warten",
  "Nothing from the server yet": "Noch nichts vom Server",
  "Off screen": "Nicht im Bild",
  "A voice that fits nobody in view": "Eine Stimme, die zu niemandem im Bild passt",
  Undecided: "Unentschieden",
  "Speech, not known yet whose": "Jemand spricht, noch unklar wer",
  Silence: "Stille",
  "Nobody is speaking": "Niemand spricht",
  "No face in view": "Kein Gesicht im Bild",
  "with {0}": "mit {0}",
  "is speaking": "spricht",
  "not known yet": "noch nicht bekannt",
  "{0} ms late": "{0} ms später",
  "{0} ms early": "{0} ms früher",
  "Timeline: nobody has spoken": "Zeitleiste: Niemand hat gesprochen",
  "Timeline: {0}": "Zeitleiste: {0}",
  "{0} {1} seconds": "{0} {1} Sekunden",
  now: "jetzt",
  "{0} min": "{0} min",
  "1 hour": "1 Stunde",
  "Whole session": "Ganze Sitzung",
};

const isGerman = /^de\b/i.test(navigator.language);

/** `text` in the browser's language; {0}, {1} … stand for `values`. */
export function t(text, ...values) {
  return ((isGerman && GERMAN[text]) || text).replace(/\{(\d)\}/g, (_, k) => values[k]);
}

const ATTRIBUTES = ["aria-label", "title", "alt"];

/** Translates the texts and labels of a document or a template's content. */
export function localize(root) {
  if (!isGerman) return;
  if (root === document) document.documentElement.lang = "de";
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      const text = node.data.trim().replace(/\s+/g, " ");
      if (GERMAN[text]) node.data = node.data.replace(node.data.trim(), GERMAN[text]);
    } else {
      for (const name of ATTRIBUTES) if (node.hasAttribute(name)) node.setAttribute(name, t(node.getAttribute(name)));
      if (node instanceof HTMLTemplateElement) localize(node.content);
    }
  }
}
