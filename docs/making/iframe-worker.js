// Browsers give no workers to pages that are opened as files; the search then runs in a hidden frame instead.
// `IFrameWorker` is the name by which the theme's search knows that it does.

class IFrameWorker extends EventTarget {
  constructor(url) {
    super()
    const frame = document.createElement("iframe")
    frame.hidden = true
    document.body.append(frame)
    this.inside = frame.contentWindow
    this.inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
    this.inside.importScripts = (...urls) => urls.reduce((before, next) => before.then(() => this.load(next)), Promise.resolve())
    this.ready = this.load(url)
  }

  load(url) {
    return new Promise((resolve, reject) => {
      const script = this.inside.document.createElement("script")
      script.src = new URL(url, document.baseURI).href
      script.onload = resolve
      script.onerror = () => reject(new Error(`cannot load ${url}`))
      this.inside.document.body.append(script)
    })
  }

  postMessage(data) {
    this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
  }
}

if (location.protocol === "file:") {
  window.IFrameWorker = IFrameWorker
  window.Worker = IFrameWorker
}
