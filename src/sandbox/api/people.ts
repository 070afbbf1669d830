/** Name and mailbox; `example.org` belongs to nobody (RFC 2606). */
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

export interface Person {
  name: string
  email: string
}

/** All 36, beginning at another one for each event. */
export function people(first: number): Person[] {
  return PEOPLE.map((_, index) => {
    const [name, mailbox] = PEOPLE[(index + first) % PEOPLE.length] ?? PEOPLE[0]
    return { name, email: `${mailbox}@example.org` }
  })
}
