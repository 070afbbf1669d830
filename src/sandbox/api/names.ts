/** Names and mailboxes. The domain `example.org` is reserved (RFC 2606). */
const PEOPLE = [
  ['Amélie Rousseau', 'amelie.rousseau'],
  ['Tomáš Dvořák', 'tomas.dvorak'],
  ['李小龙', 'li.xiaolong'],
  ['Fatima Zahra El Idrissi', 'fatima.elidrissi'],
  ['Søren Kjærgaard', 'soren.kjaergaard'],
  ['Oluwaseun Adébáyọ̀', 'seun.adebayo'],
  ['佐藤 美咲', 'misaki.sato'],
  ['José Ángel Muñoz', 'jose.munoz'],
  ['Zoë van der Meer', 'zoe.vandermeer'],
  ['Дмитрий Соколов', 'dmitri.sokolov'],
  ['Priya Raghunathan', 'priya.r'],
  ['Łukasz Wójcik', 'lukasz.wojcik'],
  ["Siobhán O'Neill", 'siobhan.oneill'],
  ['محمد الأحمد', 'mohammed.alahmad'],
  ['Gökçe Yıldırım', 'gokce.yildirim'],
  ['김민준', 'minjun.kim'],
  ['Anneliese Weiß', 'anneliese.weiss'],
  ['Nguyễn Thị Hương', 'huong.nguyen'],
  ['Kwame Asante', 'kwame.asante'],
  ['Ελένη Παπαδοπούλου', 'eleni.papadopoulou'],
  ['João Gonçalves', 'joao.goncalves'],
  ['Þóra Björnsdóttir', 'thora.bjornsdottir'],
  ['รัตนา ศรีสุข', 'rattana.srisuk'],
  ['Mihai Țăranu', 'mihai.taranu'],
  ['Ngozi Okonjo-Eze', 'ngozi.okonjoeze'],
  ['נועה לוי', 'noa.levi'],
  ['Aleksandra Đorđević', 'aleksandra.djordjevic'],
  ['Wanjiku Kamau', 'wanjiku.kamau'],
  ['Jean-Baptiste Lefèvre', 'jb.lefevre'],
  ['अनन्या शर्मा', 'ananya.sharma'],
  ['Rūta Kazlauskienė', 'ruta.kazlauskiene'],
  ['Mateo Quispe Huamán', 'mateo.quispe'],
  ['Keala Kahananui', 'keala.k'],
  ['Nino გელაშვილი', 'nino.gelashvili'],
  ['Björn Ååkesson', 'bjorn.aakesson'],
  ['X Æ Whitfield', 'x.whitfield'],
] as const

interface Person {
  readonly name: string
  readonly email: string
}

const at = (n: number) => PEOPLE[n % PEOPLE.length] ?? PEOPLE[0]
const INITIALS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** The person with a number, counted from 0. The first 36 are those of the list; later ones mix two of their names. */
export function personOf(number: number, first: number): Person {
  const [name, mailbox] = at(number + first)
  const round = Math.floor(number / PEOPLE.length)
  if (round === 0) return { name, email: `${mailbox}@example.org` }
  const given = name.split(' ')[0]
  const family = at(number + first + round)[0]
    .split(' ')
    .at(-1)
  const initial = INITIALS[Math.floor(round / PEOPLE.length) % INITIALS.length]
  return { name: `${given} ${initial}. ${family}`, email: `${mailbox}.${number}@example.org` }
}
