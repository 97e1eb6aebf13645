import DefaultTheme, { VPHomeFeatures, VPHomeHero } from 'vitepress/theme';
import { h } from 'vue';
import './style.css';

/** The home page in a landmark, which the layout of the default theme lacks. */
const Landing = () => h('main', { class: 'VPHome' }, [h(VPHomeHero), h(VPHomeFeatures)]);

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => app.component('Landing', Landing),
};
