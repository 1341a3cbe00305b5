"""The only script of the pages of a served flow: reads the form, asks the flow, shows what comes piece by piece.

It loads nothing, stores nothing, and writes texts as texts, never as HTML. A key stays in memory.
"""

from __future__ import annotations

SCRIPT = r"""
'use strict';
(() => {
const at = id => document.getElementById(id);
const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};
let key = '', flow = null, history = [], control = null;

const twoDigits = byte => byte.toString(16).padStart(2, '0');
const randomHex = n => [...crypto.getRandomValues(new Uint8Array(n))].map(twoDigits).join('');
const headers = more => key ? {...more, authorization: 'Bearer ' + key} : more;
const asText = value => typeof value === 'string' ? value : JSON.stringify(value);
const isMapping = value => value !== null && typeof value === 'object' && !Array.isArray(value);

class Fault extends Error {
  constructor(message, facts) { super(message); this.facts = facts; }
}

function faultOf(said, status, id) {
  const error = isMapping(said) && isMapping(said.error) ? said.error : {};
  const facts = [status ? 'HTTP ' + status : '', error.problem || '', id ? 'request ' + id : ''];
  const message = status === 401 || status === 403
    ? 'The flow wants a key, or does not take this one. ' + (error.message || '') : error.message;
  return new Fault(message || 'The flow did not answer.', facts.filter(Boolean).join(' · '));
}

function showFault(error) {
  const box = at('fault');
  box.replaceChildren(make('p', error.message, 'text'));
  if (error.facts) box.append(make('p', error.facts));
  box.hidden = false;
  box.focus();
}
const hideFault = () => { at('fault').hidden = true; };

// Values ---------------------------------------------------------------------------------------------------------

function imageAddress(value) {
  if (!isMapping(value)) return null;
  if (value.type === 'image_url' && isMapping(value.image_url)) {
    const url = String(value.image_url.url);
    return url.startsWith('data:image/') ? url : null;
  }
  const names = Object.keys(value);
  const found = names.length === 1 && /^data:(image\/[\w.+*-]+);base64$/.exec(names[0]);
  return found ? `data:${found[1]};base64,${value[names[0]]}` : null;
}
const hasImage = value => imageAddress(value) !== null
  || (Array.isArray(value) && value.some(hasImage)) || (isMapping(value) && Object.values(value).some(hasImage));

const isText = value => isMapping(value) && value.type === 'text' && typeof value.text === 'string';

function show(value, label) {
  const address = imageAddress(value);
  if (address !== null) {
    const image = make('img');
    image.alt = 'Image: ' + label;
    image.src = address;
    return image;
  }
  if (isText(value)) return make('div', value.text, 'text');
  if (Array.isArray(value) && value.length && (hasImage(value) || value.every(isText))) {
    const all = make('div');
    all.append(...value.map(item => show(item, label)));
    return all;
  }
  if (typeof value !== 'object' || value === null) return make('div', String(value), 'text');
  return make('pre', JSON.stringify(value, null, 2));
}

const readFile = file => new Promise((done, fail) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result);
  reader.onerror = () => fail(new Fault('The file cannot be read.'));
  reader.readAsDataURL(file);
});
function imageForm(address) {
  if (flow.isVision) return {type: 'image_url', image_url: {url: address}};
  const comma = address.indexOf(',');
  return {[address.slice(0, comma)]: address.slice(comma + 1)};
}
const readImages = async input => Promise.all([...input.files].map(async file => imageForm(await readFile(file))));

async function readField(item) {
  const field = at(item.id);
  if (item.type === 'bool') return field.checked;
  if (item.type === 'image') return (await readImages(field))[0];
  const text = field.value;
  if (item.type === 'string') return text === '' && item.isEmptyDefault ? undefined : text;
  if (text.trim() === '') return undefined;
  if (item.type === 'int' || item.type === 'double') {
    const number = Number(text);
    return item.type === 'double' || Number.isSafeInteger(number) ? number : text.trim();
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    if (item.type !== 'list' && item.type !== 'object') return text;
    field.setCustomValidity('This is no JSON: ' + error.message);
    field.closest('details')?.setAttribute('open', '');
    field.reportValidity();
    throw new Fault(`${item.name} is no JSON: ${error.message}`);
  }
}

async function readInputs() {
  const inputs = {};
  for (const item of flow.inputs) {
    const value = await readField(item);
    if (value !== undefined) inputs[item.name] = value;
  }
  return inputs;
}

// Asking ---------------------------------------------------------------------------------------------------------

// The flow may answer numbers that Python writes and JSON does not have; they are shown by their names.
const noJson = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(noJson, found => found.startsWith('"') ? found : `"${found}"`));
  }
}

function errorIn(piece) {
  const error = Object.keys(piece).length === 1 ? piece.error : null;
  return isMapping(error) && (error.code === 'UserError' || error.code === 'SystemError');
}

async function readEvents(response, id, hear) {
  const outputs = {}, reader = response.body.getReader(), decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const {done, value} = await reader.read();
    rest += (value ? decoder.decode(value, {stream: true}) : '').replaceAll('\r', '');
    for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2)) {
      const data = rest.slice(0, end).split('\n').filter(line => line.startsWith('data:')).map(line => line.slice(5));
      if (!data.length) continue;
      const piece = parse(data.join('\n'));
      if (errorIn(piece)) throw faultOf(piece, 0, id);
      for (const [name, more] of Object.entries(piece)) {
        outputs[name] = Object.hasOwn(outputs, name) ? asText(outputs[name]) + asText(more) : more;
      }
      hear(outputs);
    }
    if (done) return outputs;
  }
}

async function ask(inputs, hear) {
  const traceparent = `00-${randomHex(16)}-${randomHex(8)}-01`, began = performance.now();
  let response;
  control = new AbortController();
  const sent = {'content-type': 'application/json', accept: 'text/event-stream, application/json', traceparent};
  const body = JSON.stringify(inputs);
  try {
    response = await fetch('score', {method: 'POST', headers: headers(sent), body, signal: control.signal});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Fault('The flow cannot be reached. Is its server still running?');
  }
  const id = response.headers.get('x-request-id') || '';
  const kind = response.headers.get('content-type') || '';
  let outputs;
  if (!response.ok) throw faultOf(await response.json().catch(() => null), response.status, id);
  try {
    const streams = kind.startsWith('text/event-stream');
    outputs = streams ? await readEvents(response, id, hear) : parse(await response.text());
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof Fault) throw error;
    throw new Fault('The answer broke off.', id ? 'request ' + id : '');
  }
  const took = ((performance.now() - began) / 1000).toFixed(1);
  const version = response.headers.get('x-headrace-flow-version') || '';
  const isNamed = isMapping(outputs) && imageAddress(outputs) === null;
  const exposure = response.headers.get('x-headrace-exposure-id');
  return {outputs: isNamed ? outputs : {output: outputs}, took, version, traceparent, exposure};
}

function judge({traceparent, exposure}) {
  const group = make('div', undefined, 'buttons');
  const said = make('span', '', 'hint');
  said.setAttribute('role', 'status');
  const buttons = ['Helpful', 'Not helpful'].map(text => {
    const button = make('button', text, 'small');
    button.type = 'button';
    button.setAttribute('aria-pressed', 'false');
    button.onclick = async () => {
      const counted = exposure ? {exposure_id: exposure, thumbs: text === 'Helpful' ? 'up' : 'down'} : {};
      const body = JSON.stringify({judgement: text, ...counted});
      const sent = headers({'content-type': 'application/json', traceparent});
      const done = await fetch('feedback?flatten=true', {method: 'POST', headers: sent, body}).catch(() => null);
      const isKept = done && done.ok;
      said.textContent = isKept ? 'Kept with the trace of this answer.' : 'It could not be kept.';
      if (isKept) buttons.forEach(other => other.setAttribute('aria-pressed', String(other === button)));
    };
    return button;
  });
  group.append(...buttons, said);
  return group;
}

function setBusy(isBusy) {
  at('send').disabled = isBusy;
  at('stop').hidden = !isBusy;
  if (isBusy) at('status').textContent = 'Waiting for the answer…';
}

async function run(inputs, place, hear, end) {
  hideFault();
  setBusy(true);
  place.setAttribute('aria-busy', 'true');
  try {
    const answer = await ask(inputs, hear);
    end(answer);
    at('status').textContent = `Answered in ${answer.took} s${answer.version ? ' by ' + answer.version : ''}.`;
    return true;
  } catch (error) {
    at('status').textContent = error.name === 'AbortError' ? 'Stopped.' : '';
    if (error.name !== 'AbortError') showFault(error);
    return false;
  } finally {
    place.setAttribute('aria-busy', 'false');
    setBusy(false);
    control = null;
  }
}

// A flow that answers once -----------------------------------------------------------------------------------------

function listOutputs(outputs) {
  const list = make('dl');
  for (const [name, value] of Object.entries(outputs)) {
    const item = make('dd');
    item.append(show(value, name));
    list.append(make('dt', name), item);
  }
  return list;
}

function showOutputs(outputs) {
  at('outputs').replaceChildren(listOutputs(outputs));
  at('result').hidden = false;
}

async function runOnce() {
  at('outputs').replaceChildren();
  at('result').hidden = true;
  const inputs = await readInputs();
  await run(inputs, at('result'), showOutputs, answer => {
    showOutputs(answer.outputs);
    at('outputs').append(judge(answer));
  });
}

// A conversation ---------------------------------------------------------------------------------------------------

function readAnswer(outputs) {
  const {answer} = flow.chat, names = Object.keys(outputs);
  if (answer !== null && answer in outputs) return outputs[answer];
  return names.length === 1 && names[0] === 'output' ? outputs.output : outputs;
}

function showOthers(outputs) {
  const {answer} = flow.chat;
  if (answer === null || !(answer in outputs) || Object.keys(outputs).length < 2) return null;
  const {[answer]: _, ...others} = outputs, box = make('details');
  box.append(make('summary', 'Other outputs'), listOutputs(others));
  return box;
}

async function readMessage() {
  const text = at('message').value;
  if (!flow.chat.isList) return text;
  const images = await readImages(at('pictures'));
  return [...(text ? [flow.isVision ? {type: 'text', text} : text] : []), ...images];
}

function addTurn(name, who) {
  const item = make('li', undefined, name), body = make('div');
  item.append(make('p', who, 'who'), body);
  at('log').append(item);
  return body;
}

async function say() {
  const inputs = await readInputs(), said = await readMessage(), typed = at('message').value;
  const {message} = flow.chat;
  const mine = addTurn('mine', 'You');
  mine.append(show(said, 'what you sent'));
  const body = addTurn('answer', flow.name);
  body.append(make('p', '…', 'from'));
  at('message').value = '';
  const put = outputs => {
    const value = readAnswer(outputs);
    const isStill = flow.chat.answer !== null && !(flow.chat.answer in outputs);
    body.replaceChildren(isStill ? make('p', '…', 'from') : show(value, 'answer'));
    body.scrollIntoView({block: 'nearest'});
  };
  const asked = {...inputs, [message]: said, [flow.chat.history]: history};
  const isDone = await run(asked, body.parentElement, put, answer => {
    const shown = [show(readAnswer(answer.outputs), 'answer'), showOthers(answer.outputs), judge(answer)];
    body.replaceChildren(...shown.filter(Boolean));
    history = [...history, ...(flow.chat.hasRoles
      ? [{role: 'user', content: said}, {role: 'assistant', content: readAnswer(answer.outputs)}]
      : [{inputs: {[message]: said}, outputs: answer.outputs}])];
    body.scrollIntoView({block: 'nearest'});
    if (at('pictures')) { at('pictures').value = ''; at('pictures').dispatchEvent(new Event('change')); }
    at('message').focus();
  });
  if (isDone) return;
  if (body.textContent === '…') body.parentElement.remove();
  else body.append(make('p', 'This answer is not whole, and is no part of the conversation.', 'from'));
  mine.append(make('p', 'Not answered.', 'from'));
  if (!at('message').value) at('message').value = typed;
}

// The page ---------------------------------------------------------------------------------------------------------

function showThumbs(input) {
  const place = at(input.id + '-thumbs');
  place.replaceChildren(...[...input.files].map(file => {
    const image = make('img', undefined, 'thumb');
    image.alt = 'Chosen: ' + file.name;
    image.src = URL.createObjectURL(file);
    image.onload = () => URL.revokeObjectURL(image.src);
    return image;
  }));
}

function begin() {
  if (!at('flow')) return;
  flow = JSON.parse(at('flow').textContent);
  history = [];
  const form = at('ask');
  document.querySelectorAll('input[type=file]').forEach(input => { input.onchange = () => showThumbs(input); });
  form.oninput = event => event.target.setCustomValidity?.('');
  form.onsubmit = event => {
    event.preventDefault();
    if (control) return;
    (flow.chat ? say() : runOnce()).catch(showFault);
  };
  at('stop').onclick = () => { if (control) control.abort(); };
  if (!flow.chat) return;
  at('message').onkeydown = event => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  at('new').onclick = () => {
    if (control) control.abort();
    history = [];
    at('log').replaceChildren();
    hideFault();
    at('status').textContent = 'A new conversation.';
    at('message').focus();
  };
}

if (at('key-form')) {
  at('key-form').onsubmit = async event => {
    event.preventDefault();
    hideFault();
    key = at('key').value.trim();
    const response = await fetch('form', {headers: headers({accept: 'text/html'})}).catch(() => null);
    if (!response) return showFault(new Fault('The flow cannot be reached. Is its server still running?'));
    if (!response.ok) return showFault(faultOf(await response.json().catch(() => null), response.status, ''));
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    at('main').replaceChildren(...page.body.childNodes);
    begin();
    at('main').focus();
  };
}
begin();
})();
"""
